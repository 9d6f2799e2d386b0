import { Link } from '@tanstack/react-router'
import { Gavel, Hand, type LucideIcon, MessageSquare, ScrollText, Send, Zap } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Moment } from '@/api/generated'
import { useNameOf } from '@/features/session/queries'
import { callTitle, clockTime, fullTime, words } from '@/lib/words'
import { Raw } from '@/ui/json'
import { Badge } from '@/ui/parts'
import { toneOf } from '@/ui/tones'

const ICONS: Record<string, LucideIcon> = { message: MessageSquare, decision: Gavel, effect: Zap, handoff: Hand, delivery: Send, audit: ScrollText }

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Everything on record, in the order it happened. What a line knows besides is one click away. */
export function Timeline({ moments }: { moments: readonly Moment[] }) {
  return (
    <ol className="px-4 py-3">
      {moments.map((moment, index) => {
        const Icon = ICONS[moment.kind] ?? ScrollText
        return (
          <li key={index} className="group relative flex gap-3 pb-4 last:pb-0">
            <span aria-hidden="true" className="absolute top-7 bottom-0 left-3 w-px bg-line group-last:hidden" />
            <span aria-hidden="true" className="relative grid size-6 shrink-0 place-items-center rounded-full border border-line bg-panel text-ink-2">
              <Icon size={12} />
            </span>
            <div className="min-w-0 flex-1 pt-0.5">
              <div className="flex items-baseline justify-between gap-3">
                <Line moment={moment} />
                <time dateTime={moment.at} title={fullTime(moment.at)} className="num shrink-0 text-xs text-ink-3">
                  {clockTime(moment.at)}:{String(new Date(moment.at).getSeconds()).padStart(2, '0')}
                </time>
              </div>
              <More moment={moment} />
            </div>
          </li>
        )
      })}
    </ol>
  )
}

function Line({ moment }: { moment: Moment }): ReactNode {
  const nameOf = useNameOf()
  const data = moment.data ?? {}
  const actor = text(data.actor)
  const state = (code: string) => <Badge tone={toneOf(code)}>{words(code)}</Badge>
  const row = 'flex min-w-0 flex-wrap items-center gap-2'
  if (moment.kind === 'message') {
    return <span>{moment.what === 'received' ? 'The customer wrote' : `${text(data.author) === 'agent' || !text(data.author) ? 'The agent' : nameOf(text(data.author))} answered`}</span>
  }
  if (moment.kind === 'decision') return <span className={row}>Decided {state(moment.what)}</span>
  if (moment.kind === 'effect') return <span className={row}>{callTitle(text(data.tool))} {state(moment.what)}</span>
  if (moment.kind === 'delivery') {
    return (
      <Link to="/deliveries/$deliveryId" params={{ deliveryId: moment.id }} className={`${row} hover:underline`}>
        Delivery{data.channel ? ` by ${words(text(data.channel)).toLowerCase()}` : ''} {state(moment.what)}
      </Link>
    )
  }
  if (moment.kind === 'handoff') {
    return (
      <Link to="/inbox/$handoffId" params={{ handoffId: moment.id }} className={`${row} hover:underline`}>
        Handoff: {words(moment.what).toLowerCase()} {actor && <span className="text-ink-3">{nameOf(actor)}</span>}
      </Link>
    )
  }
  return <span className={row}>{words(moment.what)} {actor && <span className="text-ink-3">{nameOf(actor)}</span>}</span>
}

function More({ moment }: { moment: Moment }) {
  const data = moment.data ?? {}
  if (moment.kind === 'message') return typeof data.text === 'string' && data.text ? <p className="mt-0.5 break-words whitespace-pre-wrap text-ink-2">{data.text}</p> : null
  if (Object.values(data).every((value) => value === null || value === '')) return null
  return (
    <details className="mt-0.5">
      <summary className="w-fit cursor-pointer rounded text-xs text-ink-3 hover:text-ink">Details</summary>
      <div className="mt-1.5">
        <Raw of={data} />
      </div>
    </details>
  )
}
