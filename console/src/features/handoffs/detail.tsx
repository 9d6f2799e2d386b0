import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { ArrowLeft, Eye, Hand } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { HandoffDetail } from '@/api/generated'
import type { Ask } from '@/features/handoffs/asking'
import { Confirm } from '@/features/handoffs/confirm'
import { handoffQuery, type HandoffActs, lookAt, useHandoffActs } from '@/features/handoffs/queries'
import { CustomerCard, Clocks, History, Notes } from '@/features/handoffs/side'
import { Conversation, Done, OnTheTable, Outcome, Why } from '@/features/handoffs/story'
import { useMe, useNameOf } from '@/features/session/queries'
import { isAway } from '@/lib/attention'
import { words } from '@/lib/words'
import { useTitle } from '@/shell/page'
import { useShortcuts } from '@/shell/shortcuts'
import { Id } from '@/ui/copy'
import { Badge, Button, Skeleton } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Ago, Due } from '@/ui/time'
import { sayProblem } from '@/ui/toasts'
import { toneOf } from '@/ui/tones'

export function HandoffPage() {
  const { handoffId } = useParams({ from: '/inbox/$handoffId' })
  const found = useQuery(handoffQuery(handoffId))
  if (found.isPending) return <Loading />
  if (found.isError && !found.data) return <ProblemCard className="m-6" error={found.error} retry={() => void found.refetch()} />
  return <Handoff key={handoffId} handoff={found.data} />
}

function Handoff({ handoff }: { handoff: HandoffDetail }) {
  useTitle(`${words(handoff.reason)} · ${handoff.customerId}`)
  const { can, who } = useMe()
  const acts = useHandoffActs(handoff.id)
  const [asks, setAsks] = useState<Ask | null>(null)
  const mayAct = can('operator') && !handoff.decision
  const isMine = handoff.assignee === who.name
  usePresence(handoff.id, can('operator') && !handoff.decision)
  const claim = () => acts.claim.mutate(undefined, { onError: sayProblem })
  const when = (may: boolean, run: () => void) => () => may && run()
  useShortcuts([
    { keys: 'c', does: 'Claim it', run: when(mayAct, claim), group: 'This handoff' },
    { keys: 'a', does: 'Approve…', run: when(mayAct && handoff.kind === 'approval', () => setAsks('approve')), group: 'This handoff' },
    { keys: 'x', does: 'Reject…', run: when(mayAct, () => setAsks('reject')), group: 'This handoff' },
    { keys: 'r', does: 'Reply to the customer…', run: when(mayAct, () => setAsks('resolve')), group: 'This handoff' },
    { keys: 'n', does: 'Leave a note…', run: when(can('operator'), () => setAsks('note')), group: 'This handoff' },
    { keys: 'h', does: 'Hand it on…', run: when(mayAct, () => setAsks('reassign')), group: 'This handoff' },
  ])
  return (
    <article className="mx-auto max-w-[76rem] px-6 py-5 max-md:px-4">
      <Head handoff={handoff} />
      {mayAct && <Bar handoff={handoff} acts={acts} isMine={isMine} ask={setAsks} claim={claim} />}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_20rem]">
        <div className="grid min-w-0 gap-4">
          {handoff.decision && <Outcome handoff={handoff} />}
          <OnTheTable handoff={handoff} />
          <Conversation handoff={handoff} />
          <Why handoff={handoff} />
          <Done handoff={handoff} />
        </div>
        <div className="grid min-w-0 gap-4 md:max-xl:grid-cols-2">
          <Clocks handoff={handoff} prioritise={mayAct ? (priority) => acts.priority.mutate(priority, { onError: sayProblem }) : null} />
          <CustomerCard handoff={handoff} />
          <Notes handoff={handoff} add={can('operator') ? () => setAsks('note') : null} />
          <History handoff={handoff} />
        </div>
      </div>
      <Confirm key={asks ?? ''} asks={asks} handoff={handoff} acts={acts} onClose={() => setAsks(null)} />
    </article>
  )
}

function Head({ handoff }: { handoff: HandoffDetail }) {
  const nameOf = useNameOf()
  const others = (handoff.presence ?? []).map((each) => nameOf(each.operator)).filter((name) => name !== 'You')
  return (
    <header className="mb-4">
      <Link to="/inbox" className="mb-2 inline-flex items-center gap-1.5 text-ink-2 md:hidden">
        <ArrowLeft size={14} /> Inbox
      </Link>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <h1 className="text-lg font-semibold tracking-tight">{words(handoff.reason)}</h1>
        <Badge tone={toneOf(handoff.kind)}>{words(handoff.kind)}</Badge>
        <Badge tone={toneOf(handoff.priority)}>{words(handoff.priority)} priority</Badge>
        {!handoff.decision && handoff.assignee && (
          <Badge tone="accent">
            <Hand size={12} /> {nameOf(handoff.assignee) === 'You' ? 'Claimed by you' : `Claimed by ${nameOf(handoff.assignee)}`}
          </Badge>
        )}
        {others.length > 0 && (
          <Badge tone="violet">
            <Eye size={12} /> {others.join(', ')} {others.length === 1 ? 'is' : 'are'} looking
          </Badge>
        )}
      </div>
      <p className="mt-1 flex flex-wrap items-center gap-x-2 text-ink-2">
        <Link to="/customers/$customerId" params={{ customerId: handoff.customerId }} className="font-medium text-accent-text hover:underline">
          {handoff.customer.name || handoff.customerId}
        </Link>
        <span aria-hidden="true">·</span>
        <span>
          opened <Ago at={handoff.openedAt} />
        </span>
        {!handoff.decision && (
          <>
            <span aria-hidden="true">·</span>
            <span>
              due in <Due at={handoff.slaDueAt} />
            </span>
          </>
        )}
        <span aria-hidden="true">·</span>
        <Id id={handoff.id} />
        <span aria-hidden="true">·</span>
        <Link to="/interactions/$interactionId" params={{ interactionId: handoff.interactionId }} className="text-accent-text hover:underline">
          Interaction
        </Link>
      </p>
    </header>
  )
}

function Bar({ handoff, acts, isMine, ask, claim }: { handoff: HandoffDetail; acts: HandoffActs; isMine: boolean; ask: (what: Ask) => void; claim: () => void }) {
  const approves = handoff.kind === 'approval'
  return (
    <div role="toolbar" aria-label="What to do" className="sticky top-0 z-10 -mx-6 mb-4 flex flex-wrap items-center gap-2 border-y border-line bg-canvas px-6 py-2.5 max-md:-mx-4 max-md:px-4">
      {approves && (
        <Button look="primary" shortcut="a" onClick={() => ask('approve')}>
          Approve…
        </Button>
      )}
      <Button look={approves ? 'plain' : 'primary'} shortcut="r" onClick={() => ask('resolve')}>
        Reply…
      </Button>
      <Button look="danger" shortcut="x" onClick={() => ask('reject')}>
        Reject…
      </Button>
      <div className="ml-auto flex flex-wrap items-center gap-2 max-md:ml-0">
        <Button look="quiet" shortcut="h" onClick={() => ask('reassign')}>
          Hand on…
        </Button>
        {isMine ? (
          <>
            {handoff.claimedUntil && (
              <span className="num text-xs text-ink-3">
                yours for <Due at={handoff.claimedUntil} />
              </span>
            )}
            <Button busy={acts.release.isPending} onClick={() => acts.release.mutate(undefined, { onError: sayProblem })}>
              Give back
            </Button>
          </>
        ) : (
          <Button shortcut="c" busy={acts.claim.isPending} onClick={claim}>
            Claim
          </Button>
        )}
      </div>
    </div>
  )
}

/** The others see who looks at it; told again before it is forgotten. */
function usePresence(handoffId: string, looks: boolean) {
  useEffect(() => {
    if (!looks) return
    const tell = () => {
      if (document.visibilityState === 'visible' && !isAway()) lookAt(handoffId).catch(() => undefined)
    }
    tell()
    const again = setInterval(tell, 30_000)
    return () => clearInterval(again)
  }, [handoffId, looks])
}

function Loading() {
  return (
    <div role="status" aria-label="Loading" className="mx-auto grid max-w-[76rem] gap-4 px-6 py-5">
      <Skeleton className="h-6 w-72" />
      <Skeleton className="h-4 w-96" />
      <Skeleton className="h-40 w-full" />
      <Skeleton className="h-56 w-full" />
    </div>
  )
}
