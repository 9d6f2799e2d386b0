import { useState } from 'react'
import type { HandoffDetail, ShownProposal } from '@/api/generated'
import { Footer, type Props } from '@/features/handoffs/asking'
import { callTitle, minorUnits, money, moneyIn, sentence } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { TextArea, TextField } from '@/ui/fields'
import { Values } from '@/ui/json'
import { ProblemCard } from '@/ui/problem'
import { say } from '@/ui/toasts'

type Arguments = Record<string, unknown>

/** `Approve refund of €480.00` rather than `OK`. */
function verb(calls: readonly ShownProposal[], asked: readonly Arguments[]): string {
  const [first, ...more] = calls
  if (!first) return 'Approve'
  const sum = moneyIn(asked[0] ?? {})
  const what = `${callTitle(first.tool).toLowerCase()}${sum ? ` of ${money(sum)}` : ''}`.replace(/^issue /, '')
  return `Approve ${what}${more.length > 0 ? ` and ${more.length} more` : ''}`
}

/** The calls with the amounts that were typed instead; null where what was typed is no amount. */
function edited(calls: readonly ShownProposal[], typed: Record<number, string>): (Arguments | null)[] {
  return calls.map((call, index) => {
    const given = call.arguments ?? {}
    const text = typed[index]
    if (text === undefined || text === '' || typeof given.currency !== 'string') return given
    const amount = minorUnits(text, given.currency)
    return amount === null || amount === 0 ? null : { ...given, amount }
  })
}

export function Approve({ handoff, acts, onClose }: Props) {
  // What was read is what is approved: it stays as it was when the dialog opened, whatever comes in meanwhile.
  const [shown] = useState(handoff)
  const [note, setNote] = useState('')
  const [typed, setTyped] = useState<Record<number, string>>({})
  const calls = shown.proposed ?? []
  const asked = edited(calls, typed)
  const valid = asked.filter((each) => each !== null)
  const isEdited = asked.some((each, index) => each?.amount !== calls[index]?.arguments?.amount)
  const changed = shown.digest !== handoff.digest
  const needed = shown.approvals?.needed ?? 1
  const submit = () => {
    if (changed || valid.length < calls.length) return
    acts.approve.mutate(
      {
        digest: shown.digest,
        ...(note ? { note } : {}),
        ...(isEdited ? { arguments: calls.map((call, index) => ({ tool: call.tool, arguments: valid[index] ?? {} })) } : {}),
      },
      {
        onSuccess: (after) => {
          onClose()
          if (after.decision) say('Approved', 'It runs now, once. This page shows when it is confirmed.')
          else say('Your yes is on record', `${needed - (after.approvals?.given ?? []).length} more needed before anything runs.`)
        },
      },
    )
  }
  return (
    <Dialog
      title="Approve exactly this?"
      open
      wide
      onClose={onClose}
      onSubmit={submit}
      footer={<Footer onClose={onClose} label={verb(calls, valid)} busy={acts.approve.isPending} disabled={changed || valid.length < calls.length} />}
    >
      <div className="grid gap-4">
        <ol className="grid gap-3">
          {calls.map((call, index) => (
            <Call key={index} call={call} asked={asked[index] ?? null} typed={typed[index]} type={(text) => setTyped({ ...typed, [index]: text })} />
          ))}
        </ol>
        <Consequences handoff={shown} isEdited={isEdited} />
        <TextArea label="Note" hint="Optional. Kept with the approval; the customer never sees it." value={note} maxLength={2000} rows={2} onChange={(event) => setNote(event.target.value)} />
        {changed && <p role="alert" className="font-medium text-bad">The proposal has just changed. Close this and read the new one.</p>}
        {acts.approve.isError && <ProblemCard error={acts.approve.error} />}
      </div>
    </Dialog>
  )
}

function Call({ call, asked, typed, type }: { call: ShownProposal; asked: Arguments | null; typed: string | undefined; type: (text: string) => void }) {
  const was = moneyIn(call.arguments ?? {})
  const now = asked && moneyIn(asked)
  const differs = was && now && was.amount !== now.amount
  return (
    <li className="rounded-lg border border-line-strong p-3">
      <p className="mb-2 text-sm font-semibold">{call.summary || callTitle(call.tool)}</p>
      <Values of={asked ?? call.arguments ?? {}} />
      {differs && (
        <p className="mt-1.5 text-warn">
          Instead of <span className="num font-semibold">{money(was)}</span>, which was proposed.
        </p>
      )}
      {was && typeof call.arguments?.amount === 'number' && (
        <details className="mt-2" open={typed !== undefined}>
          <summary className="w-fit cursor-pointer rounded text-accent-text hover:underline">Approve another amount</summary>
          <div className="mt-2 max-w-56">
            <TextField
              label={`Amount in ${was.currency}`}
              inputMode="decimal"
              value={typed ?? ''}
              onChange={(event) => type(event.target.value)}
              error={asked === null ? 'Not an amount of this currency.' : undefined}
              hint="Empty: as proposed."
            />
          </div>
        </details>
      )}
    </li>
  )
}

function Consequences({ handoff, isEdited }: { handoff: HandoffDetail; isEdited: boolean }) {
  const calls = handoff.proposed ?? []
  const { needed = 1, given = [] } = handoff.approvals ?? {}
  const left = needed - given.length
  return (
    <div className="rounded-lg bg-sunken p-3 text-ink-2">
      <p className="mb-1 font-semibold text-ink">What happens</p>
      <ul className="list-disc space-y-0.5 pl-4">
        {isEdited && <li>What you changed is judged again by the same rules. If they do not allow it, nothing runs. Whoever asks for more than was proposed does not approve it.</li>}
        {left > 1 ? (
          <li>
            Your yes is recorded. Nothing runs before {left - 1} more {left === 2 ? 'person has' : 'people have'} said yes to the same.
          </li>
        ) : (
          <>
            <li>
              {sentence(calls.map((call) => callTitle(call.tool)))} {calls.length > 1 ? 'run' : 'runs'} with these arguments, once, for{' '}
              <span className="font-medium text-ink">{handoff.customer.name || handoff.customerId}</span>.
            </li>
            <li>The customer is told what then really happened.</li>
          </>
        )}
        <li>It cannot be taken back from here.</li>
      </ul>
      <p className="mt-2 text-xs text-ink-3">
        Your yes is bound to digest <code className="font-mono">{handoff.digest.slice(0, 12)}…</code>: if anything changes before it arrives, nothing runs.
      </p>
    </div>
  )
}
