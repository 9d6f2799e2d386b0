import { useState } from 'react'
import { Approve } from '@/features/handoffs/approve'
import { Footer, type Props } from '@/features/handoffs/asking'
import { useMe, useNameOf, useOperators } from '@/features/session/queries'
import { callTitle, words } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { SelectField, TextArea, TextField } from '@/ui/fields'
import { ProblemCard } from '@/ui/problem'
import { say } from '@/ui/toasts'

/** Nothing is decided by one key: what will happen is shown first, in full. */
export function Confirm(props: Props) {
  if (props.asks === 'approve') return <Approve {...props} />
  if (props.asks === 'reject') return <Reject {...props} />
  if (props.asks === 'resolve') return <Reply {...props} />
  if (props.asks === 'note') return <Note {...props} />
  if (props.asks === 'reassign') return <Reassign {...props} />
  return null
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
          {(handoff.proposed ?? []).length > 0 ? `This will not happen: ${(handoff.proposed ?? []).map((call) => call.summary || callTitle(call.tool)).join(' ')} ` : ''}
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
