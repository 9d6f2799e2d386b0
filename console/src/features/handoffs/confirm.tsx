import { useState } from 'react'
import type { HandoffDetail } from '@/api/generated'
import type { HandoffActs } from '@/features/handoffs/queries'
import { useMe, useNameOf, useOperators } from '@/features/session/queries'
import { callTitle, money, moneyIn, sentence, words } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { SelectField, TextArea, TextField } from '@/ui/fields'
import { Values } from '@/ui/json'
import { Button } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { say } from '@/ui/toasts'

export type Ask = 'approve' | 'reject' | 'resolve' | 'note' | 'reassign'

interface Props {
  asks: Ask | null
  handoff: HandoffDetail
  acts: HandoffActs
  onClose: () => void
}

/** Nothing is decided by one key: what will happen is shown first, in full. */
export function Confirm(props: Props) {
  if (props.asks === 'approve') return <Approve {...props} />
  if (props.asks === 'reject') return <Reject {...props} />
  if (props.asks === 'resolve') return <Reply {...props} />
  if (props.asks === 'note') return <Note {...props} />
  if (props.asks === 'reassign') return <Reassign {...props} />
  return null
}

function Footer({ onClose, label, busy, disabled, danger }: { onClose: () => void; label: string; busy: boolean; disabled?: boolean; danger?: boolean }) {
  return (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" look={danger ? 'danger' : 'primary'} busy={busy} disabled={disabled}>
        {label}
      </Button>
    </>
  )
}

/** `Approve: refund EUR 480.00` rather than `OK`. */
function verb(handoff: HandoffDetail): string {
  const [first, ...more] = handoff.proposed ?? []
  if (!first) return 'Approve'
  const sum = moneyIn(first.arguments ?? {})
  const what = `${callTitle(first.tool).toLowerCase()}${sum ? ` of ${money(sum)}` : ''}`.replace(/^issue /, '')
  return `Approve ${what}${more.length > 0 ? ` and ${more.length} more` : ''}`
}

function Approve({ handoff, acts, onClose }: Props) {
  // What was read is what is approved: it stays as it was when the dialog opened, whatever comes in meanwhile.
  const [shown] = useState(handoff)
  const [note, setNote] = useState('')
  const { needed = 1, given = [] } = shown.approvals ?? {}
  const left = needed - given.length
  const changed = shown.digest !== handoff.digest
  const submit = () =>
    acts.approve.mutate(
      { digest: shown.digest, ...(note ? { note } : {}) },
      {
        onSuccess: (after) => {
          onClose()
          if (after.decision) say('Approved', 'It runs now, once. This page shows when it is confirmed.')
          else say('Your yes is on record', `${needed - (after.approvals?.given ?? []).length} more needed before anything runs.`)
        },
      },
    )
  return (
    <Dialog
      title="Approve exactly this?"
      open
      wide
      onClose={onClose}
      onSubmit={submit}
      footer={<Footer onClose={onClose} label={verb(shown)} busy={acts.approve.isPending} disabled={changed} />}
    >
      <div className="grid gap-4">
        <ol className="grid gap-3">
          {(shown.proposed ?? []).map((call, index) => (
            <li key={index} className="rounded-lg border border-line-strong p-3">
              <p className="mb-2 text-sm font-semibold">{call.summary || callTitle(call.tool)}</p>
              <Values of={call.arguments ?? {}} />
            </li>
          ))}
        </ol>
        <div className="rounded-lg bg-sunken p-3 text-ink-2">
          <p className="mb-1 font-semibold text-ink">What happens</p>
          <ul className="list-disc space-y-0.5 pl-4">
            {left > 1 ? (
              <li>Your yes is recorded. Nothing runs before {left - 1} more {left === 2 ? 'person has' : 'people have'} said yes to the same.</li>
            ) : (
              <>
                <li>
                  {sentence((shown.proposed ?? []).map((call) => callTitle(call.tool)))} {(shown.proposed ?? []).length > 1 ? 'run' : 'runs'} with these arguments, once, for{' '}
                  <span className="font-medium text-ink">{shown.customer.name || shown.customerId}</span>.
                </li>
                <li>The customer is told what then really happened.</li>
              </>
            )}
            <li>It cannot be taken back from here.</li>
          </ul>
          <p className="mt-2 text-xs text-ink-3">
            Your yes is bound to digest <code className="font-mono">{shown.digest.slice(0, 12)}…</code>: if anything changes before it arrives, nothing runs.
          </p>
        </div>
        <TextArea label="Note" hint="Optional. Kept with the approval; the customer never sees it." value={note} maxLength={2000} rows={2} onChange={(event) => setNote(event.target.value)} />
        {changed && <p role="alert" className="font-medium text-bad">The proposal has just changed. Close this and read the new one.</p>}
        {acts.approve.isError && <ProblemCard error={acts.approve.error} />}
      </div>
    </Dialog>
  )
}

function Reject({ handoff, acts, onClose }: Props) {
  const draft = handoff.briefing.reply?.goesWith === 'rejected' ? handoff.briefing.reply.text : ''
  const [reply, setReply] = useState(draft)
  const [note, setNote] = useState('')
  const submit = () =>
    acts.reject.mutate(
      { ...(reply.trim() ? { reply } : {}), ...(note ? { note } : {}) },
      {
        onSuccess: () => {
          onClose()
          say('Rejected', 'Nothing that was proposed runs. The customer is told.')
        },
      },
    )
  return (
    <Dialog title="Reject it?" open wide onClose={onClose} onSubmit={submit} footer={<Footer onClose={onClose} label="Reject and tell the customer" busy={acts.reject.isPending} danger />}>
      <div className="grid gap-4">
        <p className="text-ink-2">
          {(handoff.proposed ?? []).length > 0 ? `${(handoff.proposed ?? []).map((call) => call.summary || callTitle(call.tool)).join(' ')} will not happen. ` : ''}
          The customer gets the words below, as written. It is final for this request.
        </p>
        <TextArea label="Reply to the customer" rows={5} maxLength={8000} value={reply} onChange={(event) => setReply(event.target.value)} hint={reply.trim() ? (draft && reply === draft ? 'A draft by rules. Every claim in it is backed by facts.' : 'Goes out as written.') : 'Empty: the customer is told plainly that it was declined.'} data-first />
        <TextField label="Note" value={note} maxLength={2000} onChange={(event) => setNote(event.target.value)} hint="Optional, for other operators." />
        {acts.reject.isError && <ProblemCard error={acts.reject.error} />}
      </div>
    </Dialog>
  )
}

function Reply({ handoff, acts, onClose }: Props) {
  const draft = handoff.briefing.reply?.goesWith === 'resolved' ? handoff.briefing.reply.text : ''
  const [reply, setReply] = useState(draft)
  const [note, setNote] = useState('')
  const proposed = handoff.proposed ?? []
  const submit = () =>
    acts.resolve.mutate(
      { reply, ...(note ? { note } : {}) },
      {
        onSuccess: () => {
          onClose()
          say('Sent', 'Your words went out as written. The handoff is decided.')
        },
      },
    )
  return (
    <Dialog title="Reply to the customer" open wide onClose={onClose} onSubmit={submit} footer={<Footer onClose={onClose} label="Send and close the handoff" busy={acts.resolve.isPending} disabled={!reply.trim()} />}>
      <div className="grid gap-4">
        <blockquote className="max-h-32 overflow-y-auto border-l-2 border-line-strong pl-3 break-words whitespace-pre-wrap text-ink-2">{handoff.message}</blockquote>
        <TextArea label="Your reply" rows={6} maxLength={8000} value={reply} onChange={(event) => setReply(event.target.value)} data-first hint={draft && reply === draft ? 'A draft by rules: read it before you send it.' : 'Goes out as written, to where the customer wrote from.'} />
        <TextField label="Note" value={note} maxLength={2000} onChange={(event) => setNote(event.target.value)} hint="Optional, for other operators." />
        {proposed.length > 0 && (
          <p className="rounded-lg bg-sunken p-3 text-ink-2">
            What was proposed ({proposed.map((call) => callTitle(call.tool).toLowerCase()).join(', ')}) will <span className="font-semibold text-ink">not</span> run.
          </p>
        )}
        {acts.resolve.isError && <ProblemCard error={acts.resolve.error} />}
      </div>
    </Dialog>
  )
}

function Note({ acts, onClose }: Props) {
  const [note, setNote] = useState('')
  return (
    <Dialog
      title="Leave a note"
      open
      onClose={onClose}
      onSubmit={() => acts.note.mutate(note, { onSuccess: onClose })}
      footer={<Footer onClose={onClose} label="Save note" busy={acts.note.isPending} disabled={!note.trim()} />}
    >
      <div className="grid gap-4">
        <TextArea label="Note" rows={4} maxLength={2000} value={note} onChange={(event) => setNote(event.target.value)} data-first hint="For other operators. It cannot be changed later." />
        {acts.note.isError && <ProblemCard error={acts.note.error} />}
      </div>
    </Dialog>
  )
}

function Reassign({ handoff, acts, onClose }: Props) {
  const { can, who } = useMe()
  const nameOf = useNameOf()
  const known = useOperators(can('admin')).data?.items.filter((each) => each.enabled && each.id !== who.name)
  const [to, setTo] = useState('')
  const submit = () =>
    acts.reassign.mutate(to.trim(), {
      onSuccess: () => {
        onClose()
        say('Handed on', `It is now with ${nameOf(to.trim())}.`)
      },
    })
  return (
    <Dialog title="Hand it on" open onClose={onClose} onSubmit={submit} footer={<Footer onClose={onClose} label="Hand on" busy={acts.reassign.isPending} disabled={!to.trim()} />}>
      <div className="grid gap-4">
        {handoff.assignee && <p className="text-ink-2">It is with {nameOf(handoff.assignee)} now.</p>}
        {known ? (
          <SelectField label="To" value={to} onChange={(event) => setTo(event.target.value)} data-first hint={known.length === 0 ? 'There is no other operator yet; an admin adds them.' : 'They hold it for fifteen minutes, as if they had claimed it.'}>
            <option value="">Choose somebody</option>
            {known.map((each) => (
              <option key={each.id} value={each.id}>
                {each.login} ({each.scopes.map(words).join(', ')})
              </option>
            ))}
          </SelectField>
        ) : (
          <TextField label="To" value={to} onChange={(event) => setTo(event.target.value)} data-first placeholder="opr_…" hint="The id of an operator, or the name of a key." />
        )}
        {acts.reassign.isError && <ProblemCard error={acts.reassign.error} />}
      </div>
    </Dialog>
  )
}
