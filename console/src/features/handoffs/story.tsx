import { useQuery } from '@tanstack/react-query'
import { Bot, CircleHelp, TriangleAlert, User, UserRoundCheck } from 'lucide-react'
import type { ReactNode } from 'react'
import type { HandoffDetail, ShownAction } from '@/api/generated'
import { conversationQuery } from '@/features/handoffs/queries'
import { useNameOf } from '@/features/session/queries'
import { callTitle, percent, words } from '@/lib/words'
import { Values } from '@/ui/json'
import { Badge, Card, cx, Skeleton } from '@/ui/parts'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

/** The exact calls a yes lets run, and what a yes is bound to. */
export function OnTheTable({ handoff }: { handoff: HandoffDetail }) {
  const nameOf = useNameOf()
  const proposed = handoff.proposed ?? []
  if (proposed.length === 0) return null
  const { needed = 1, given = [] } = handoff.approvals ?? {}
  return (
    <Card
      title={handoff.decision ? 'What was on the table' : 'An approval would do exactly this'}
      aside={needed > 1 ? <Badge tone="warn">{`${given.length} of ${needed} people said yes`}</Badge> : undefined}
    >
      <ol className="divide-y divide-line">
        {proposed.map((call, index) => (
          <li key={index} className="grid gap-2 px-4 py-3">
            <p className="text-sm font-semibold">{call.summary || callTitle(call.tool)}</p>
            <Values of={call.arguments ?? {}} />
          </li>
        ))}
      </ol>
      <footer className="flex flex-wrap gap-x-4 gap-y-1 border-t border-line px-4 py-2 text-xs text-ink-3">
        <span>
          Bound to digest <code className="font-mono">{handoff.digest.slice(0, 12)}…</code>
        </span>
        {given.map((yes) => (
          <span key={yes.by}>
            {nameOf(yes.by)} said yes <Ago at={yes.at} />
          </span>
        ))}
        {(handoff.revisions ?? []).length > 0 && <span>Edited {handoff.revisions?.length} time(s)</span>}
      </footer>
    </Card>
  )
}

/** What both sides said, as text and nothing else. */
export function Conversation({ handoff }: { handoff: HandoffDetail }) {
  const found = useQuery(conversationQuery(handoff.conversationId))
  const messages = found.data?.messages ?? []
  return (
    <Card title="Conversation" aside={handoff.heldBy ? <HeldBy by={handoff.heldBy} /> : <span className="text-xs text-ink-3">{words(found.data?.channel)}</span>}>
      {found.isPending ? (
        <div className="grid gap-3 p-4">
          <Skeleton className="h-12 w-3/4" />
          <Skeleton className="ml-auto h-12 w-2/3" />
        </div>
      ) : (
        <ol className="grid gap-3 p-4">
          {messages.map((each) => (
            <Said key={each.id} by={each.by} author={each.author ?? null} at={each.at} text={each.text} current={each.interactionId === handoff.interactionId && each.by === 'customer'} />
          ))}
          {messages.length === 0 && <Said by="customer" author={null} at={handoff.openedAt} text={handoff.message} current />}
        </ol>
      )}
    </Card>
  )
}

function HeldBy({ by }: { by: string }) {
  const nameOf = useNameOf()
  const name = nameOf(by)
  return <Badge tone="violet">{name === 'You' ? 'You speak' : `${name} speaks`} with the customer</Badge>
}

export function Said({ by, author, at, text, current }: { by: string; author: string | null; at: string; text: string; current?: boolean }) {
  const nameOf = useNameOf()
  const theirs = by === 'customer'
  const Icon = theirs ? User : by === 'agent' ? Bot : UserRoundCheck
  return (
    <li className={cx('flex max-w-[85%] gap-2.5', !theirs && 'ml-auto flex-row-reverse')}>
      <span aria-hidden="true" className={cx('mt-4.5 grid size-6 shrink-0 place-items-center rounded-full', theirs ? 'bg-hover text-ink-2' : 'bg-accent-soft text-accent-text')}>
        <Icon size={13} />
      </span>
      <div className="min-w-0">
        <p className={cx('mb-0.5 text-xs text-ink-3', !theirs && 'text-right')}>
          {theirs ? 'Customer' : by === 'agent' ? 'Agent' : nameOf(author)} · <Ago at={at} />
        </p>
        <p
          className={cx(
            'rounded-lg px-3 py-2 break-words whitespace-pre-wrap',
            theirs ? 'rounded-tl-sm bg-hover' : 'rounded-tr-sm bg-accent-soft',
            current && 'ring-1 ring-line-strong',
          )}
        >
          {text}
        </p>
      </div>
    </li>
  )
}

/** Why a person is asked: what the rules found, what is risky, and what seems right. A suggestion, never more. */
export function Why({ handoff }: { handoff: HandoffDetail }) {
  const { summary, risk, resolution } = handoff.briefing
  const issues = handoff.issues ?? []
  return (
    <Card title="Why" aside={<Badge tone={toneOf(risk.level)}>{words(risk.level)} risk</Badge>}>
      <div className="grid gap-4 p-4">
        <p>{summary.text}</p>
        <div className="rounded-md bg-sunken p-3">
          <p className="mb-0.5 text-xs font-medium text-ink-3">Suggested next step, by rules</p>
          <p>
            <span className="font-semibold">{words(resolution.step)}.</span> {resolution.text}
          </p>
          <Evidence of={resolution.evidence ?? []} />
        </div>
        <div className="grid gap-4 md:grid-cols-2">
          <Part title="Why it is risky">
            {(risk.reasons ?? []).length === 0 ? (
              <p className="text-ink-2">Nothing speaks against it.</p>
            ) : (
              <ul className="grid gap-1">
                {risk.reasons?.map((code) => (
                  <li key={code} className="flex items-center gap-2">
                    <TriangleAlert size={13} className="shrink-0 text-warn" /> {words(code)}
                  </li>
                ))}
              </ul>
            )}
          </Part>
          <Part title="How sure the agent was">
            <div className="flex items-center gap-3">
              <Meter share={handoff.confidence} />
              <span className="num font-medium">{percent(handoff.confidence)}</span>
            </div>
          </Part>
        </div>
        {issues.length > 0 && (
          <Part title="What verification found">
            <ul className="grid gap-1">
              {issues.map((issue, index) => (
                <li key={index}>
                  <span className="font-medium">{words(String(issue.code ?? ''))}</span>
                  {issue.message ? <span className="text-ink-2">: {String(issue.message)}</span> : null}
                </li>
              ))}
            </ul>
          </Part>
        )}
      </div>
    </Card>
  )
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3 className="mb-1 text-xs font-medium text-ink-3">{title}</h3>
      {children}
    </section>
  )
}

function Evidence({ of }: { of: readonly string[] }) {
  if (of.length === 0) return null
  return <p className="mt-1.5 font-mono text-[0.6875rem] break-words text-ink-3">{of.join('  ·  ')}</p>
}

export function Meter({ share }: { share: number }) {
  return (
    <svg viewBox="0 0 100 6" preserveAspectRatio="none" className="h-1.5 w-28 rounded-full" aria-hidden="true">
      <rect width="100" height="6" className="fill-hover" />
      <rect width={Math.max(2, share * 100)} height="6" className={share < 0.5 ? 'fill-warn' : 'fill-accent'} />
    </svg>
  )
}

/** What already happened in the world: not to be repeated by hand, except what failed. */
export function Done({ handoff }: { handoff: HandoffDetail }) {
  const by = handoff.actionsByState ?? {}
  const groups: (readonly [string, string, readonly ShownAction[]])[] = [
    ['Unknown', 'It may have happened. Find out before anything else; do not repeat it.', by.unknown ?? []],
    ['Failed', 'It surely did not happen.', by.failed ?? []],
    ['Pending', 'It is under way.', by.pending ?? []],
    ['Executed', 'It happened.', by.executed ?? []],
  ]
  const shown = groups.filter(([, , actions]) => actions.length > 0)
  return (
    <Card title="Already done">
      {shown.length === 0 ? (
        <p className="px-4 py-3 text-ink-2">Nothing has been done for this request yet: no money moved and no mail was sent by it.</p>
      ) : (
        <div className="divide-y divide-line">
          {shown.map(([title, meaning, actions]) => (
            <section key={title} className="px-4 py-3">
              <h3 className="mb-1.5 flex flex-wrap items-center gap-2 text-xs text-ink-3">
                {title === 'Unknown' && <CircleHelp size={13} className="text-violet" />}
                <span className="font-medium text-ink-2">{title}</span> {meaning}
              </h3>
              <ul className="grid gap-2">
                {actions.map((action, index) => (
                  <li key={index} className="flex flex-wrap items-center gap-x-3 gap-y-1">
                    <Badge tone={toneOf(action.effect)}>{words(action.effect)}</Badge>
                    <span className="font-medium">{callTitle(action.tool)}</span>
                    <span className="num text-ink-2">
                      {Object.entries(action.arguments ?? {})
                        .map(([name, value]) => `${words(name).toLowerCase()} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
                        .join(', ')}
                    </span>
                  </li>
                ))}
              </ul>
            </section>
          ))}
        </div>
      )}
    </Card>
  )
}

export function Outcome({ handoff }: { handoff: HandoffDetail }) {
  const nameOf = useNameOf()
  const reply = handoff.resolution?.reply
  return (
    <div className="rounded-lg border border-line bg-panel px-4 py-3">
      <p className="flex flex-wrap items-center gap-2">
        <Badge tone={toneOf(handoff.decision)}>{words(handoff.decision)}</Badge>
        <span>
          by <span className="font-medium">{nameOf(handoff.decidedBy)}</span>
        </span>
        {handoff.decidedAt && <Ago at={handoff.decidedAt} className="text-ink-3" />}
      </p>
      {typeof reply === 'string' && <p className="mt-2 border-l-2 border-line-strong pl-3 whitespace-pre-wrap text-ink-2">{reply}</p>}
    </div>
  )
}
