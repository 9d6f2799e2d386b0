import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { effectQuery } from '@/features/customers/queries'
import { useNameOf } from '@/features/session/queries'
import { callTitle, fullTime, words } from '@/lib/words'
import { Dialog } from '@/ui/dialog'
import { Values } from '@/ui/json'
import { Badge, Fact, Facts, Skeleton } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { toneOf } from '@/ui/tones'

/** Why one thing was done: from the effect back to what was asked, what the rules said, and who allowed it. */
export function EffectStory({ effectId, onClose }: { effectId: string | null; onClose: () => void }) {
  const found = useQuery({ ...effectQuery(effectId ?? ''), enabled: effectId !== null })
  const nameOf = useNameOf()
  const story = found.data
  return (
    <Dialog title={story ? callTitle(story.effect.tool) : 'Effect'} open={effectId !== null} onClose={onClose} wide>
      {found.isPending && <Skeleton className="h-48" />}
      {found.isError && <ProblemCard error={found.error} />}
      {story && (
        <div className="grid gap-4">
          <Values of={story.effect.arguments} />
          <Facts>
            <Fact name="Asked for">
              <blockquote className="break-words whitespace-pre-wrap text-ink-2">{story.request.message}</blockquote>
            </Fact>
            <Fact name="Decided">
              <Badge tone={toneOf(story.decision.decision.outcome)}>{words(story.decision.decision.outcome)}</Badge>{' '}
              {(story.decision.decision.reasons ?? []).map((reason) => reason.message || words(reason.code)).join(' ')}
            </Fact>
            <Fact name="Allowed by">
              {(story.approvals ?? []).length > 0 ? story.approvals?.map((yes) => `${nameOf(yes.approver)}, ${fullTime(yes.at)}`).join('; ') : `The rules, policy version ${story.effect.policyVersion}`}
            </Fact>
            <Fact name="What became of it">
              <ol className="grid gap-1">
                {(story.events ?? []).map((event, index) => (
                  <li key={index} className="flex flex-wrap items-center gap-2">
                    <Badge tone={toneOf(event.state)}>{words(event.state)}</Badge>
                    <span className="num text-ink-3">{fullTime(event.at)}</span>
                    {event.errorCode && <code className="font-mono text-xs text-bad">{event.errorCode}</code>}
                  </li>
                ))}
              </ol>
            </Fact>
          </Facts>
          <Link to="/interactions/$interactionId" params={{ interactionId: story.request.id }} className="w-fit text-accent-text hover:underline">
            Open the interaction
          </Link>
        </div>
      )}
    </Dialog>
  )
}
