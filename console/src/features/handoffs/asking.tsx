import type { HandoffDetail } from '@/api/generated'
import type { HandoffActs } from '@/features/handoffs/queries'
import { Button } from '@/ui/parts'

/** What every dialog about a handoff is given, and how it ends. */
export type Ask = 'approve' | 'reject' | 'resolve' | 'note' | 'reassign'

export interface Props {
  asks: Ask | null
  handoff: HandoffDetail
  acts: HandoffActs
  onClose: () => void
}

export function Footer({ onClose, label, busy, disabled, danger }: { onClose: () => void; label: string; busy: boolean; disabled?: boolean; danger?: boolean }) {
  return (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" look={danger ? 'danger' : 'primary'} busy={busy} disabled={disabled}>
        {label}
      </Button>
    </>
  )
}
