import { Link } from '@tanstack/react-router'
import { Pause } from 'lucide-react'
import type { HandoffDetail, Priority, ShownClock } from '@/api/generated'
import { useNameOf } from '@/features/session/queries'
import { duration, moment, words } from '@/lib/words'
import { Badge, Button, Card, cx, Fact, Facts } from '@/ui/parts'
import { Ago, Due } from '@/ui/time'
import { toneOf } from '@/ui/tones'

const PRIORITIES: readonly Priority[] = ['urgent', 'high', 'normal', 'low']

/** Business time spent of business time allowed, and when that runs out by the clock on the wall. */
export function Clocks({ handoff, prioritise }: { handoff: HandoffDetail; prioritise: ((priority: Priority) => void) | null }) {
  const clocks = handoff.clocks ?? []
  if (clocks.length === 0) return null
  const calendar = clocks[0]?.calendar
  return (
    <Card title="Clocks" aside={<span className="text-xs text-ink-3">{calendar ? `Business time, ${calendar === 'always' ? 'around the clock' : `calendar ${calendar}`}` : ''}</span>}>
      <ul className="grid gap-3.5 p-4">
        {clocks.map((clock) => (
          <Clock key={clock.kind} clock={clock} />
        ))}
      </ul>
      {prioritise && (
        <label className="flex items-center justify-between gap-3 border-t border-line px-4 py-2 text-ink-2">
          Priority sets the targets
          <select
            value={handoff.priority}
            onChange={(event) => prioritise(event.target.value as Priority)}
            className="h-8 rounded-md border border-line-strong bg-panel px-2 text-ink max-md:h-10"
          >
            {PRIORITIES.map((each) => (
              <option key={each} value={each}>
                {words(each)}
              </option>
            ))}
          </select>
        </label>
      )}
    </Card>
  )
}

const BAR: Record<string, string> = { breached: 'fill-bad', met: 'fill-ok', paused: 'fill-ink-3', running: 'fill-accent' }

function Clock({ clock }: { clock: ShownClock }) {
  const share = Math.min(1, clock.elapsedSeconds / Math.max(1, clock.targetSeconds))
  return (
    <li>
      <div className="flex items-baseline justify-between gap-2">
        <span className="font-medium">{words(clock.kind)}</span>
        {clock.state === 'running' && clock.dueAt ? (
          <Due at={clock.dueAt} className="text-xs" />
        ) : (
          <Badge tone={toneOf(clock.state)}>
            {clock.state === 'paused' && <Pause size={11} />}
            {words(clock.state)}
          </Badge>
        )}
      </div>
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" className="my-1.5 h-1 w-full rounded-full" aria-hidden="true">
        <rect width="100" height="4" className="fill-hover" />
        <rect width={share * 100} height="4" className={cx(share > 0.8 && clock.state === 'running' ? 'fill-warn' : BAR[clock.state])} />
      </svg>
      <p className="num text-xs text-ink-3">
        {duration(clock.elapsedSeconds)} of {duration(clock.targetSeconds)}
        {clock.state === 'running' && clock.dueAt && ` · due ${moment(clock.dueAt)}`}
      </p>
    </li>
  )
}

export function CustomerCard({ handoff }: { handoff: HandoffDetail }) {
  const { customer } = handoff
  const tickets = handoff.tickets ?? []
  return (
    <Card title="Customer">
      <div className="p-4">
        <Facts>
          <Fact name="Name">
            <Link to="/customers/$customerId" params={{ customerId: customer.id }} className="font-medium text-accent-text hover:underline">
              {customer.name || customer.id}
            </Link>
          </Fact>
          <Fact name="Plan">{words(customer.plan)}</Fact>
          <Fact name="Account">
            <Badge tone={toneOf(customer.status)}>{words(customer.status)}</Badge>
          </Fact>
          <Fact name="Open tickets">
            {tickets.length === 0 ? (
              'None'
            ) : (
              <ul>
                {tickets.map((ticket) => (
                  <li key={ticket.id}>
                    {words(ticket.topic)} <Ago at={ticket.createdAt} className="text-ink-3" />
                  </li>
                ))}
              </ul>
            )}
          </Fact>
        </Facts>
      </div>
    </Card>
  )
}

export function Notes({ handoff, add }: { handoff: HandoffDetail; add: (() => void) | null }) {
  const nameOf = useNameOf()
  const notes = handoff.notes ?? []
  return (
    <Card
      title="Notes"
      aside={
        add && (
          <Button look="quiet" shortcut="n" onClick={add} className="-mr-2">
            Add
          </Button>
        )
      }
    >
      {notes.length === 0 ? (
        <p className="px-4 py-3 text-ink-2">None yet. Other operators read them, the customer never does.</p>
      ) : (
        <ul className="grid gap-3 p-4">
          {notes.map((note) => (
            <li key={note.at + note.by}>
              <p className="text-xs text-ink-3">
                {nameOf(note.by)} · <Ago at={note.at} />
              </p>
              <p className="break-words whitespace-pre-wrap">{note.note}</p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}

export function History({ handoff }: { handoff: HandoffDetail }) {
  const nameOf = useNameOf()
  return (
    <Card title="History">
      <ol className="grid gap-2 p-4">
        {[...(handoff.history ?? [])].reverse().map((event, index) => (
          <li key={index} className="flex items-baseline justify-between gap-3">
            <span className="min-w-0">
              {words(event.kind)} <span className="text-ink-3">{nameOf(event.actor)}</span>
            </span>
            <Ago at={event.at} className="shrink-0 text-xs text-ink-3" />
          </li>
        ))}
      </ol>
    </Card>
  )
}
