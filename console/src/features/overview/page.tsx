import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { ArrowRight, CircleCheckBig } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Dashboard } from '@/api/generated'
import { handoffsQuery } from '@/features/handoffs/queries'
import { Hours } from '@/features/overview/hours'
import { dashboardQuery, useBacklog } from '@/features/overview/queries'
import { duration, percent, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { Badge, Card, cx, Empty, Skeleton, SkeletonRows } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Due } from '@/ui/time'
import { toneOf } from '@/ui/tones'

/** What needs a person, then how it goes. Every number leads to what it counts. */
export function Overview() {
  const found = useQuery(dashboardQuery)
  return (
    <Page title="Overview" aside={<span className="text-xs text-ink-3">Last 24 hours; what waits is as of now</span>}>
      {found.isError && <ProblemCard className="mb-4" error={found.error} retry={() => void found.refetch()} />}
      <div className="grid gap-4">
        <Tiles />
        <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
          <div className="grid min-w-0 gap-4">
            <Queue />
            <Card title="Interactions per hour" aside={<Legend />}>
              <div className="p-4">{found.data ? <Hours series={found.data.series ?? {}} /> : <Skeleton className="h-44" />}</div>
            </Card>
          </div>
          <div className="grid min-w-0 gap-4">
            <Rates shown={found.data} />
            <Deliveries shown={found.data} />
          </div>
        </div>
      </div>
    </Page>
  )
}

function Tiles() {
  const backlog = useBacklog()
  const tiles = [
    { name: 'Waiting for a person', count: backlog?.handoffs, to: '/inbox', search: {}, calm: 'Nobody waits', some: 'Due soonest first', alarm: false },
    { name: 'Past their due time', count: backlog?.overdue, to: '/inbox', search: { breached: 'true' }, calm: 'Every clock is kept', some: 'Take these first', alarm: true },
    { name: 'Dead letters', count: backlog?.deadLetters, to: '/deliveries', search: { status: 'dead_letter' }, calm: 'Everything arrived', some: 'Correct or let be', alarm: true },
    { name: 'Outcome unknown', count: backlog?.unknownEffects, to: '/inbox', search: {}, calm: 'Every effect is accounted for', some: 'Find out, in the inbox', alarm: true },
  ] as const
  return (
    <ul className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      {tiles.map((tile) => (
        <li key={tile.name}>
          <Link
            to={tile.to}
            search={tile.search as never}
            className="group block h-full rounded-lg border border-line bg-panel p-4 transition-colors hover:border-line-strong max-md:p-3"
          >
            <span className="flex items-center justify-between gap-2 text-ink-2">
              {tile.name}
              <ArrowRight size={14} className="text-ink-3 opacity-0 transition-opacity group-hover:opacity-100 group-focus-visible:opacity-100" />
            </span>
            {tile.count === undefined ? (
              <Skeleton className="mt-2 h-8 w-14" />
            ) : (
              <>
                <span className={cx('num mt-1 block text-[1.75rem] leading-9 font-semibold tracking-tight', tile.alarm && tile.count > 0 && 'text-bad')}>{tile.count}</span>
                <span className="block text-xs text-ink-3">{tile.count === 0 ? tile.calm : tile.some}</span>
              </>
            )}
          </Link>
        </li>
      ))}
    </ul>
  )
}

function Queue() {
  const found = useInfiniteQuery(handoffsQuery({}))
  const items = (found.data?.pages[0]?.items ?? []).filter((each) => !each.decision).slice(0, 6)
  return (
    <Card title="Needs a person now" aside={<More to="/inbox">Inbox</More>}>
      {found.isPending && <SkeletonRows rows={5} />}
      {found.isError && <ProblemCard className="m-3" error={found.error} />}
      {found.data && items.length === 0 && (
        <Empty icon={<CircleCheckBig size={20} />} title="Nothing waits for a person">
          The agent and the rules manage by themselves. What they hand over shows here first, due soonest at the top.
        </Empty>
      )}
      <ul className="divide-y divide-line">
        {items.map((each) => (
          <li key={each.id}>
            <Link to="/inbox/$handoffId" params={{ handoffId: each.id }} className="focus-inset flex items-center gap-3 px-4 py-2.5 hover:bg-hover">
              <span className="min-w-0 flex-1">
                <span className="block truncate font-medium">{words(each.reason)}</span>
                <span className="block truncate text-xs text-ink-3">{each.customerId}</span>
              </span>
              <span className="flex flex-wrap justify-end gap-1.5">
                {each.priority !== 'normal' && <Badge tone={toneOf(each.priority)}>{words(each.priority)}</Badge>}
                <Badge tone={toneOf(each.kind)}>{words(each.kind)}</Badge>
              </span>
              <Due at={each.slaDueAt} className="w-24 shrink-0 text-right max-md:w-auto" />
            </Link>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Rates({ shown }: { shown: Dashboard | undefined }) {
  if (!shown) return <Card title="How it goes"><SkeletonRows rows={6} /></Card>
  const { interactions = {}, times = {}, breaches = {} } = shown
  const late = Object.values(breaches).reduce((n, each) => n + each, 0)
  const seconds = (value: number | null | undefined) => (value == null ? '—' : value < 1 ? `${Math.round(value * 1000)} ms` : duration(value))
  const rows: (readonly [string, ReactNode, string, object])[] = [
    ['Answered', interactions.answered ?? 0, '/interactions', {}],
    ['Needed a person', percent(interactions.escalationRate), '/inbox', {}],
    ['Median time to answer', seconds(times.answer?.p50), '/interactions', {}],
    ['Median time to claim', seconds(times.claim?.p50), '/inbox', { status: 'claimed' }],
    ['Median time to decide', seconds(times.decision?.p50), '/inbox', { status: 'resolved' }],
    ['Clocks missed', late, '/inbox', { breached: 'true' }],
  ]
  return (
    <Card title="How it goes">
      <ul className="divide-y divide-line">
        {rows.map(([name, value, to, search]) => (
          <li key={name}>
            <Link to={to as '/'} search={search as never} className="focus-inset flex items-center justify-between gap-4 px-4 py-2.5 hover:bg-hover">
              <span className="text-ink-2">{name}</span>
              <span className={cx('num font-semibold', name === 'Clocks missed' && late > 0 && 'text-bad')}>{value}</span>
            </Link>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Deliveries({ shown }: { shown: Dashboard | undefined }) {
  const channels = Object.entries(shown?.deliveries ?? {})
  return (
    <Card title="Deliveries" aside={<More to="/deliveries">All deliveries</More>}>
      {!shown && <SkeletonRows rows={3} />}
      {shown && channels.length === 0 && <p className="px-4 py-6 text-center text-ink-2">Nothing was sent in the last 24 hours.</p>}
      {channels.length > 0 && (
        <table className="w-full text-left">
          <thead>
            <tr className="text-xs text-ink-3">
              <th scope="col" className="px-4 py-2 font-medium">Channel</th>
              <th scope="col" className="px-2 py-2 text-right font-medium">Delivered</th>
              <th scope="col" className="px-2 py-2 text-right font-medium">Retried</th>
              <th scope="col" className="px-4 py-2 text-right font-medium">Dead</th>
            </tr>
          </thead>
          <tbody>
            {channels.map(([channel, events]) => (
              <tr key={channel} className="border-t border-line">
                <th scope="row" className="px-4 py-2.5 font-medium">
                  <Link to="/deliveries" search={{ channel }} className="hover:underline">
                    {words(channel)}
                  </Link>
                </th>
                <Number of={events.delivered} channel={channel} status="delivered" />
                <Number of={events.retry} channel={channel} status="pending" />
                <Number of={events.dead_letter} channel={channel} status="dead_letter" alarm />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  )
}

function Number({ of = 0, channel, status, alarm }: { of: number | undefined; channel: string; status: string; alarm?: boolean }) {
  return (
    <td className="num px-2 py-2.5 text-right last:pr-4">
      {of === 0 ? (
        <span className="text-ink-3">0</span>
      ) : (
        <Link to="/deliveries" search={{ channel, status }} className={cx('hover:underline', alarm && 'font-semibold text-bad')}>
          {of}
        </Link>
      )}
    </td>
  )
}

function More({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Link to={to as '/'} className="text-accent-text hover:underline">
      {children}
    </Link>
  )
}

function Legend() {
  return (
    <span className="flex gap-3 text-xs text-ink-3">
      <span className="flex items-center gap-1.5">
        <span className="size-2 rounded-sm bg-accent" /> by the agent
      </span>
      <span className="flex items-center gap-1.5">
        <span className="size-2 rounded-sm bg-chart-warn" /> asked a person
      </span>
    </span>
  )
}
