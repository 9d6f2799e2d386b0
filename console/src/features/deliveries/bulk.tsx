import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type DeliveryFilters, redriveAll } from '@/features/deliveries/queries'
import { words } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { Button, Skeleton } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { say } from '@/ui/toasts'

/** First a rehearsal that says how many; then the same for real. */
export function Bulk({ filters, onClose }: { filters: DeliveryFilters; onClose: () => void }) {
  const client = useQueryClient()
  const rehearsal = useQuery({ queryKey: ['redrive-rehearsal', filters], queryFn: () => redriveAll(filters, true), gcTime: 0, staleTime: 0 })
  const real = useMutation({
    mutationFn: () => redriveAll(filters, false),
    onSuccess: (done) => {
      onClose()
      say(`${done.count} on their way again`, done.more ? 'There are more: do it once more for the rest.' : undefined)
      for (const key of ['deliveries', 'dashboard']) void client.invalidateQueries({ queryKey: [key] })
    },
  })
  const count = rehearsal.data?.count ?? 0
  const named = Object.entries(filters).filter(([name]) => name !== 'status')
  return (
    <Dialog
      title="Send dead letters again"
      open
      onClose={onClose}
      onSubmit={() => real.mutate()}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={real.isPending} disabled={!rehearsal.data || count === 0}>
            {count > 0 ? `Send ${count} again` : 'Send again'}
          </Button>
        </>
      }
    >
      <div className="grid gap-3">
        {rehearsal.isPending && <Skeleton className="h-10" />}
        {rehearsal.isError && <ProblemCard error={rehearsal.error} />}
        {rehearsal.data && (
          <>
            <p className="text-sm">
              <span className="num font-semibold">{count}</span> dead letter{count === 1 ? '' : 's'} would be sent again
              {named.length > 0 ? `, with ${named.map(([name, value]) => `${words(name).toLowerCase()} ${value}`).join(' and ')}` : ''}.
            </p>
            {rehearsal.data.more && <p className="text-ink-2">There are more than one round takes; these are the first.</p>}
            <p className="text-ink-2">
              Each goes out under the same ids, so that whoever got it already can tell. What may have arrived is left out, unless you filter by the reason
              outcome_unknown.
            </p>
          </>
        )}
        {real.isError && <ProblemCard error={real.error} />}
      </div>
    </Dialog>
  )
}
