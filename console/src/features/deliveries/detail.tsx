import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import type { DeliveryDetail } from '@/api/generated'
import { Discard, Redrive } from '@/features/deliveries/decide'
import { deliveryQuery } from '@/features/deliveries/queries'
import { useMe, useNameOf } from '@/features/session/queries'
import { fullTime, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { useShortcuts } from '@/shell/shortcuts'
import { Id } from '@/ui/copy'
import { Raw } from '@/ui/json'
import { Badge, Button, Card, Fact, Facts, Skeleton } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

export function DeliveryPage() {
  const { deliveryId } = useParams({ from: '/deliveries/$deliveryId' })
  const found = useQuery(deliveryQuery(deliveryId))
  if (found.isPending) return <Page title="Delivery"><Skeleton className="h-64" /></Page>
  if (!found.data) return <Page title="Delivery"><ProblemCard error={found.error} retry={() => void found.refetch()} /></Page>
  return <Delivery shown={found.data} />
}

function Delivery({ shown }: { shown: DeliveryDetail }) {
  const { can } = useMe()
  const [asks, setAsks] = useState<'redrive' | 'discard' | null>(null)
  const waits = shown.status === 'dead_letter' && can('operator')
  useShortcuts([
    { keys: 's', does: 'Send it again…', run: () => waits && setAsks('redrive'), group: 'This delivery' },
    { keys: 'd', does: 'Let it be…', run: () => waits && setAsks('discard'), group: 'This delivery' },
  ])
  return (
    <Page
      title={words(shown.purpose)}
      aside={
        waits && (
          <>
            <Button look="danger" shortcut="d" onClick={() => setAsks('discard')}>
              Let it be…
            </Button>
            <Button look="primary" shortcut="s" onClick={() => setAsks('redrive')}>
              Send it again…
            </Button>
          </>
        )
      }
    >
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_22rem]">
        <div className="grid min-w-0 gap-4">
          <Card title="What is sent">
            <div className="p-4">
              <Payload of={shown.payload} />
            </div>
          </Card>
          <Attempts shown={shown} />
        </div>
        <Card>
          <div className="p-4">
            <Facts>
              <Fact name="Status">
                <Badge tone={toneOf(shown.status)}>{words(shown.status)}</Badge>
              </Fact>
              {shown.reason && <Fact name="Reason">{words(shown.reason)}</Fact>}
              <Fact name="Channel">{words(shown.channel)}</Fact>
              {shown.recipient && <Fact name="Corrected to">{shown.recipient}</Fact>}
              <Fact name="Customer">
                {shown.customerId ? (
                  <Link to="/customers/$customerId" params={{ customerId: shown.customerId }} className="font-medium text-accent-text hover:underline">
                    {shown.customerId}
                  </Link>
                ) : (
                  '—'
                )}
              </Fact>
              {shown.interactionId && (
                <Fact name="Interaction">
                  <Link to="/interactions/$interactionId" params={{ interactionId: shown.interactionId }} className="text-accent-text hover:underline">
                    Open
                  </Link>
                </Fact>
              )}
              <Fact name="Created">
                <Ago at={shown.createdAt} />
              </Fact>
              <Fact name="Tries">
                <span className="num">{shown.attempts}</span>
                {shown.round > 0 && <span className="text-ink-3"> · sent again {shown.round} time(s)</span>}
              </Fact>
              {shown.nextAttemptAt && <Fact name="Next try">{fullTime(shown.nextAttemptAt)}</Fact>}
              {shown.deliveredAt && <Fact name="Delivered">{fullTime(shown.deliveredAt)}</Fact>}
              <Fact name="Delivery">
                <Id id={shown.id} />
              </Fact>
            </Facts>
          </div>
        </Card>
      </div>
      {asks === 'redrive' && <Redrive delivery={shown} onClose={() => setAsks(null)} />}
      {asks === 'discard' && <Discard delivery={shown} onClose={() => setAsks(null)} />}
    </Page>
  )
}

/** A message reads as one; what a program gets is shown as it gets it. */
function Payload({ of }: { of: string }) {
  try {
    return <Raw of={JSON.parse(of) as unknown} />
  } catch {
    return <p className="max-w-prose text-sm leading-6 break-words whitespace-pre-wrap">{of}</p>
  }
}

function Attempts({ shown }: { shown: DeliveryDetail }) {
  const nameOf = useNameOf()
  return (
    <Card title="What happened to it">
      {(shown.history ?? []).length === 0 && <p className="px-4 py-3 text-ink-2">It was there with the answer itself: nothing had to be tried.</p>}
      <ol className="divide-y divide-line">
        {[...(shown.history ?? [])].reverse().map((each, index) => (
          <li key={index} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2.5">
            <Badge tone={toneOf(each.status)}>{words(each.status)}</Badge>
            {each.attempt != null && <span className="num text-ink-2">try {each.attempt}</span>}
            {each.code && <code className="font-mono text-xs text-ink-2">{each.code}</code>}
            {each.tookMs != null && <span className="num text-xs text-ink-3">{each.tookMs} ms</span>}
            {each.actor && <span className="text-ink-2">{nameOf(each.actor)}</span>}
            <Ago at={each.at} className="ml-auto text-xs text-ink-3" />
          </li>
        ))}
      </ol>
    </Card>
  )
}
