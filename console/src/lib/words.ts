// How codes, times and money read. The API speaks in codes; people do not.

const SPECIAL: Record<string, string> = {
  ask_human: 'Asked a person',
  waiting_for_human: 'Waiting for a person',
  dead_letter: 'Dead letter',
  proceed: 'Proceeded',
  refuse: 'Refused',
  human_request: 'Wants a person',
  first_response: 'First response',
  reserved: 'Pending',
  over_auto_limit: 'Above the automatic limit',
  over_limit_in_period: 'Above the limit for one customer',
  low_confidence: 'Not sure what is wanted',
  moves_money: 'Moves money',
  account_not_active: 'Account is not active',
  not_backed_by_facts: 'Not backed by facts',
  several_people_needed: 'Several people needed',
  effect_unknown: 'Outcome unknown',
  repeated_escalations: 'Asked for a person repeatedly',
  unsure_what_is_wanted: 'Not sure what is wanted',
  customer_asked_for_human: 'Customer asked for a person',
  find_out: 'Find out first',
  do_by_hand: 'Do it by hand',
  smtp_550: 'Mailbox refused it (550)',
  email: 'E-mail',
  send_email: 'Send e-mail',
  sms: 'SMS',
  local: 'This machine',
  system: 'Holdfast',
}

/** `issue_refund` → `Issue refund` */
export function words(code: string | null | undefined): string {
  if (!code) return '—'
  const known = SPECIAL[code]
  if (known) return known
  const plain = code.replace(/[._]/g, ' ').replace(/([a-z])([A-Z])/g, '$1 $2').trim().toLowerCase()
  return plain.charAt(0).toUpperCase() + plain.slice(1)
}

/** What a call does, as a verb: for buttons and titles. */
export function callTitle(tool: string): string {
  return words(tool)
}

export interface Money {
  amount: number
  currency: string
}

export function money(value: Money): string {
  try {
    const format = new Intl.NumberFormat(undefined, { style: 'currency', currency: value.currency })
    const digits = format.resolvedOptions().maximumFractionDigits ?? 2
    return format.format(value.amount / 10 ** digits)
  } catch {
    return `${value.amount} ${value.currency}`
  }
}

/** `120.5` of a currency as its minor units, exactly; null for what is no such amount. */
export function minorUnits(typed: string, currency: string): number | null {
  const digits = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
  const found = /^(\d{1,12})(?:[.,](\d+))?$/.exec(typed.trim())
  const fraction = found?.[2] ?? ''
  if (!found || fraction.length > digits) return null
  return Number(`${found[1] ?? ''}${fraction.padEnd(digits, '0')}`)
}

/** The money among arguments or results, whichever way they say it. */
export function moneyIn(bag: Record<string, unknown>): Money | null {
  const { amount, currency } = bag
  if (typeof amount === 'number' && typeof currency === 'string') return { amount, currency }
  if (typeof amount === 'object' && amount !== null) return moneyIn(amount as Record<string, unknown>)
  return null
}

const MINUTE = 60
const HOUR = 3600
const DAY = 86400

/** `3 d 4 h`, `2 h 10 min`, `4 min 05 s`, `12 s`: two units at most. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(Math.abs(seconds)))
  if (s < MINUTE) return `${s} s`
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min ${String(s % MINUTE).padStart(2, '0')} s`
  if (s < DAY) return `${Math.floor(s / HOUR)} h ${Math.floor((s % HOUR) / MINUTE)} min`
  return `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / HOUR)} h`
}

/** One unit: for narrow columns. */
export function ago(at: string, now: number): string {
  const s = Math.round((now - Date.parse(at)) / 1000)
  if (s < 5) return 'just now'
  const [value, unit] = s < MINUTE ? [s, 's'] : s < HOUR ? [s / MINUTE, 'min'] : s < DAY ? [s / HOUR, 'h'] : [s / DAY, 'd']
  return `${Math.floor(value)} ${unit} ago`
}

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const DAY_ONLY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, { weekday: 'short', hour: '2-digit', minute: '2-digit' })

export const fullTime = (at: string): string => FULL.format(new Date(at))
export const day = (at: string): string => DAY_ONLY.format(new Date(at))
export const clockTime = (at: string): string => CLOCK.format(new Date(at))

/** `14:05` today, `Mon 14:05` on another day. */
export function moment(at: string): string {
  const then = new Date(at)
  return (then.toDateString() === new Date().toDateString() ? CLOCK : DAY_AND_CLOCK).format(then)
}

export const percent = (share: number | null | undefined): string => (share == null ? '—' : `${Math.round(share * 100)}%`)

/** `hnd_01k9…7x`: enough to recognise one. */
export function shortId(id: string): string {
  return id.length <= 14 ? id : `${id.slice(0, 8)}…${id.slice(-4)}`
}

/** `Issue refund and send e-mail`: a list as one says it. */
export function sentence(parts: readonly string[]): string {
  const lower = parts.map((each, index) => (index === 0 ? each : each.charAt(0).toLowerCase() + each.slice(1)))
  return new Intl.ListFormat('en').format(lower)
}
