import { useState } from 'react'
import type { DeliveryDetail } from '@/api/generated'
import { useDeliveryActs } from '@/features/deliveries/queries'
import { words } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { TextArea, TextField } from '@/ui/fields'
import { Button } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { say } from '@/ui/toasts'

export function Redrive({ delivery, onClose }: { delivery: DeliveryDetail; onClose: () => void }) {
  const { redrive } = useDeliveryActs(delivery.id)
  const [to, setTo] = useState('')
  const [text, setText] = useState('')
  const correct = { ...(to.trim() ? { to: to.trim() } : {}), ...(text.trim() ? { text } : {}) }
  const submit = () =>
    redrive.mutate(Object.keys(correct).length > 0 ? { correct } : {}, {
      onSuccess: () => {
        onClose()
        say('On its way again', 'This page shows when it arrives, or why it does not.')
      },
    })
  return (
    <Dialog
      title="Send it again?"
      open
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={redrive.isPending}>
            Send it again
          </Button>
        </>
      }
    >
      <div className="grid gap-4">
        <p className="text-ink-2">
          The same message goes out once more by {words(delivery.channel).toLowerCase()}, under the same ids
          {delivery.reason ? `. Last time: ${words(delivery.reason).toLowerCase()}.` : '.'}
          {delivery.reason === 'outcome_unknown' && ' It may have arrived already: then the customer gets it twice.'}
        </p>
        {delivery.channel === 'email' && (
          <>
            <TextField label="Another address" type="email" value={to} onChange={(event) => setTo(event.target.value)} hint="Optional. For this message only; the customer’s own address stays as it is." />
            <TextArea label="Other words" rows={4} value={text} maxLength={8000} onChange={(event) => setText(event.target.value)} hint="Optional. Empty: what was written stays." />
          </>
        )}
        {redrive.isError && <ProblemCard error={redrive.error} />}
      </div>
    </Dialog>
  )
}

export function Discard({ delivery, onClose }: { delivery: DeliveryDetail; onClose: () => void }) {
  const { discard } = useDeliveryActs(delivery.id)
  const [note, setNote] = useState('')
  const submit = () =>
    discard.mutate(note.trim(), {
      onSuccess: () => {
        onClose()
        say('Let be', 'It will not be sent. Your reason is on record.')
      },
    })
  return (
    <Dialog
      title="Let it be, for good?"
      open
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="danger" busy={discard.isPending} disabled={!note.trim()}>
            Do not send it
          </Button>
        </>
      }
    >
      <div className="grid gap-4">
        <p className="text-ink-2">The customer will not get this message. It stays on record, and it cannot be sent again afterwards.</p>
        <TextField label="Why" value={note} maxLength={200} onChange={(event) => setNote(event.target.value)} data-first hint="Required. It stands in the audit: name nobody." />
        {discard.isError && <ProblemCard error={discard.error} />}
      </div>
    </Dialog>
  )
}
