import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { ExternalLink, Inbox } from 'lucide-react'
import type { InteractionDetail, ShownReason } from '@/api/generated'
import { Said, Meter } from '@/features/handoffs/story'
import { interactionQuery } from '@/features/interactions/queries'
import { Timeline } from '@/features/interactions/timeline'
import { callTitle, percent, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { Id } from '@/ui/copy'
import { Values } from '@/ui/json'
import { Badge, Card, Fact, Facts, Skeleton } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

export function InteractionPage() {
  const { interactionId } = useParams({ from: '/interactions/$interactionId' })
  const found = useQuery(interactionQuery(interactionId))
  if (found.isPending) return <Page title="Interaction"><Skeleton className="h-64" /></Page>
  if (!found.data) return <Page title="Interaction"><ProblemCard error={found.error} retry={() => void found.refetch()} /></Page>
  return <Interaction shown={found.data} />
}

const BUTTON = 'inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-panel px-3 font-medium hover:bg-hover'

function Interaction({ shown }: { shown: InteractionDetail }) {
  return (
    <Page
      title={words(shown.intent)}
      aside={
        <>
          {shown.handoff && (
            <Link to="/inbox/$handoffId" params={{ handoffId: shown.handoff.id }} className={BUTTON}>
              <Inbox size={14} /> Handoff
            </Link>
          )}
          {shown.links.temporal && (
            <a href={shown.links.temporal} target="_blank" rel="noreferrer" className={BUTTON}>
              <ExternalLink size={14} /> Workflow in Temporal
            </a>
          )}
        </>
      }
    >
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_22rem]">
        <div className="grid min-w-0 gap-4">
          <Card title="Asked and answered">
            <ol className="grid gap-3 p-4">
              <Said by="customer" author={null} at={shown.createdAt} text={shown.message} />
              {shown.reply && <Said by="agent" author={null} at={shown.answeredAt ?? shown.createdAt} text={shown.reply} />}
            </ol>
          </Card>
          <Card title="Timeline" aside={<span className="num text-xs text-ink-3">{(shown.timeline ?? []).length} entries</span>}>
            <Timeline moments={shown.timeline ?? []} />
          </Card>
        </div>
        <div className="grid min-w-0 gap-4">
          <Summary shown={shown} />
          <Decision shown={shown} />
          {(shown.actions ?? []).length > 0 && (
            <Card title="Effects">
              <ul className="divide-y divide-line">
                {shown.actions?.map((action, index) => (
                  <li key={index} className="grid gap-2 px-4 py-3">
                    <span className="flex items-center justify-between gap-2">
                      <span className="font-medium">{callTitle(action.tool)}</span>
                      <Badge tone={toneOf(action.effect)}>{words(action.effect)}</Badge>
                    </span>
                    <Values of={action.arguments ?? {}} />
                  </li>
                ))}
              </ul>
            </Card>
          )}
        </div>
      </div>
    </Page>
  )
}

function Summary({ shown }: { shown: InteractionDetail }) {
  return (
    <Card>
      <div className="p-4">
        <Facts>
          <Fact name="Status">
            <Badge tone={toneOf(shown.status)}>{words(shown.status)}</Badge>
          </Fact>
          <Fact name="Customer">
            <Link to="/customers/$customerId" params={{ customerId: shown.customerId }} className="font-medium text-accent-text hover:underline">
              {shown.customerId}
            </Link>
          </Fact>
          <Fact name="Received">
            <Ago at={shown.createdAt} />
          </Fact>
          <Fact name="Finished">{shown.finishedAt ? <Ago at={shown.finishedAt} /> : 'Not yet'}</Fact>
          <Fact name="Mode">{shown.mode === 'shadow' ? <Badge tone="violet">Shadow: nothing happened</Badge> : 'Live'}</Fact>
          <Fact name="Interaction">
            <Id id={shown.interactionId} />
          </Fact>
          <Fact name="Request id">
            <Id id={shown.requestId} />
          </Fact>
          <Fact name="Conversation">
            <Link to="/interactions" search={{ conversationId: shown.conversationId }} className="text-accent-text hover:underline">
              Everything in it
            </Link>
          </Fact>
        </Facts>
      </div>
    </Card>
  )
}

/** The Why panel: the outcome, every rule that spoke, how sure the agent was, and what verification found. */
function Decision({ shown }: { shown: InteractionDetail }) {
  const { decision, verification } = shown
  const issues = verification?.issues ?? []
  return (
    <Card title="Why" aside={decision && <Badge tone={toneOf(decision.outcome)}>{words(decision.outcome)}</Badge>}>
      {!decision ? (
        <p className="px-4 py-3 text-ink-2">The rules have not spoken yet.</p>
      ) : (
        <div className="grid gap-4 p-4">
          <ul className="grid gap-3">
            {(decision.reasons ?? []).map((reason) => (
              <Reason key={reason.rule + reason.code} reason={reason} />
            ))}
          </ul>
          <Facts>
            <Fact name="Confidence">
              <span className="flex items-center gap-3">
                <Meter share={shown.confidence ?? 0} />
                <span className="num">{percent(shown.confidence)}</span>
              </span>
            </Fact>
            <Fact name="Verification">{issues.length === 0 ? <Badge tone="ok">Passed</Badge> : <Badge tone="bad">{`${issues.length} found`}</Badge>}</Fact>
            <Fact name="Policy version">
              <span className="num">{decision.policyVersion}</span>
            </Fact>
          </Facts>
          {issues.length > 0 && (
            <ul className="grid gap-1">
              {issues.map((issue) => (
                <li key={issue.code + issue.check}>
                  <span className="font-medium">{words(issue.code)}</span> <span className="text-ink-2">{issue.message}</span>
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </Card>
  )
}

function Reason({ reason }: { reason: ShownReason }) {
  return (
    <li>
      <p className="font-medium">{reason.message || words(reason.code)}</p>
      <p className="font-mono text-xs text-ink-3">
        {reason.rule}
        {reason.version ? ` v${reason.version}` : ''} · {reason.code}
      </p>
    </li>
  )
}
