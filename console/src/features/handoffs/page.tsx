import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, Outlet, useMatches, useNavigate, useParams } from '@tanstack/react-router'
import { CircleCheckBig, Inbox, MousePointerClick } from 'lucide-react'
import type { HandoffSummary } from '@/api/generated'
import { type HandoffFilters, handoffsQuery } from '@/features/handoffs/queries'
import { useNameOf } from '@/features/session/queries'
import { words } from '@/lib/words'
import { useTitle } from '@/shell/page'
import { useShortcuts } from '@/shell/shortcuts'
import { FilterSelect } from '@/ui/fields'
import { Badge, Button, cx, Empty, SkeletonRows } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Ago, Due } from '@/ui/time'
import { toneOf } from '@/ui/tones'

// What needs a person is what people come for: decided ones are a choice away.
const STATUSES = [
  ['open', 'Open'],
  ['claimed', 'Claimed'],
  ['resolved', 'Decided'],
  ['expired', 'Expired'],
] as const
const KINDS = [
  ['approval', 'Approvals'],
  ['takeover', 'Takeovers'],
  ['validation', 'Validations'],
] as const
const PRIORITIES = ['urgent', 'high', 'normal', 'low'].map((each) => [each, words(each)] as const)

/** The queue at the left, one of it at the right; on a telephone one of the two. */
export function InboxPage() {
  useTitle('Inbox')
  const search = useMatches({ select: (all) => all.find((match) => match.routeId === '/inbox')?.search }) as HandoffFilters | undefined
  const filters = search ?? {}
  const { handoffId } = useParams({ strict: false })
  const navigate = useNavigate()
  const found = useInfiniteQuery(handoffsQuery(filters))
  const all = found.data?.pages.flatMap((page) => page.items) ?? []
  // Without a filter the decided ones are out of the way, unless it is the one that is open.
  const items = filters.status ? all : all.filter((each) => !each.decision || each.id === handoffId)
  const change = (more: HandoffFilters) => void navigate({ to: '.', search: { ...filters, ...more } as never })
  const at = items.findIndex((each) => each.id === handoffId)
  const open = (index: number) => {
    const next = items[Math.min(Math.max(index, 0), items.length - 1)]
    if (next) void navigate({ to: '/inbox/$handoffId', params: { handoffId: next.id }, search: filters as never })
  }
  useShortcuts([
    { keys: 'j', does: 'Next handoff', run: () => open(at + 1), group: 'Inbox' },
    { keys: 'k', does: 'Previous handoff', run: () => open(at < 0 ? 0 : at - 1), group: 'Inbox' },
    { keys: 'u', does: 'Back to the list', run: () => void navigate({ to: '/inbox', search: filters as never }), group: 'Inbox' },
  ])
  return (
    <div className="flex h-full">
      <div className={cx('flex min-h-0 w-88 shrink-0 flex-col border-r border-line bg-panel max-lg:w-76 max-md:w-full max-md:border-r-0', handoffId && 'max-md:hidden')}>
        <header className="border-b border-line px-4 pt-4 pb-3">
          <div className="mb-2.5 flex items-baseline justify-between">
            <h1 className="text-lg font-semibold tracking-tight">Inbox</h1>
            <span className="num text-xs text-ink-3">{found.data ? `${items.length}${found.hasNextPage ? '+' : ''} · due first` : ''}</span>
          </div>
          <Filters filters={filters} change={change} />
        </header>
        <div className="min-h-0 flex-1 overflow-y-auto">
          {found.isPending && <SkeletonRows rows={7} />}
          {found.isError && <ProblemCard className="m-3" error={found.error} retry={() => void found.refetch()} />}
          {found.data && items.length === 0 && <NothingWaits filtered={Object.keys(filters).length > 0} clear={() => void navigate({ to: '/inbox', search: {} })} />}
          <ul aria-label="Handoffs">
            {items.map((each) => (
              <li key={each.id}>
                <Row handoff={each} filters={filters} />
              </li>
            ))}
          </ul>
          {found.hasNextPage && (
            <div className="p-3 text-center">
              <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
                Show more
              </Button>
            </div>
          )}
        </div>
      </div>
      <div className={cx('min-h-0 min-w-0 flex-1 overflow-y-auto', !handoffId && 'max-md:hidden')}>
        <Outlet />
      </div>
    </div>
  )
}

function Filters({ filters, change }: { filters: HandoffFilters; change: (more: HandoffFilters) => void }) {
  const toggle = (name: 'mine' | 'breached', label: string) => (
    <button
      type="button"
      aria-pressed={filters[name] === 'true'}
      onClick={() => change({ [name]: filters[name] === 'true' ? undefined : 'true' } as HandoffFilters)}
      className="h-8 rounded-md border border-line-strong bg-panel px-2.5 text-ink-2 hover:bg-hover aria-pressed:border-accent-text aria-pressed:font-medium aria-pressed:text-accent-text max-md:h-10"
    >
      {label}
    </button>
  )
  const pick = (name: keyof HandoffFilters) => (value: string | undefined) => change({ [name]: value } as HandoffFilters)
  return (
    <div className="flex flex-wrap gap-1.5">
      <FilterSelect label="Status" all="Undecided" value={filters.status} options={STATUSES} onPick={pick('status')} />
      <FilterSelect label="Kind" all="Any kind" value={filters.kind} options={KINDS} onPick={pick('kind')} />
      <FilterSelect label="Priority" all="Any priority" value={filters.priority} options={PRIORITIES} onPick={pick('priority')} />
      {toggle('mine', 'Mine')}
      {toggle('breached', 'Late')}
    </div>
  )
}

function Row({ handoff, filters }: { handoff: HandoffSummary; filters: HandoffFilters }) {
  const nameOf = useNameOf()
  return (
    <Link
      to="/inbox/$handoffId"
      params={{ handoffId: handoff.id }}
      search={filters as never}
      className="focus-inset block border-b border-line px-4 py-2.5 [contain-intrinsic-size:auto_70px] [content-visibility:auto] hover:bg-hover aria-[current=page]:bg-accent-soft aria-[current=page]:shadow-[inset_2px_0_0_var(--accent-text)]"
    >
      <div className="flex items-baseline justify-between gap-3">
        <span className="truncate font-semibold">{words(handoff.reason)}</span>
        {handoff.decision ? <Badge tone={toneOf(handoff.decision)}>{words(handoff.decision)}</Badge> : <Due at={handoff.slaDueAt} className="text-xs" />}
      </div>
      <div className="mt-0.5 flex items-center justify-between gap-3 text-ink-2">
        <span className="truncate">{handoff.customerId}</span>
        <Ago at={handoff.openedAt} className="shrink-0 text-xs text-ink-3" />
      </div>
      <div className="mt-1.5 flex flex-wrap items-center gap-1.5">
        <Badge tone={toneOf(handoff.kind)}>{words(handoff.kind)}</Badge>
        {handoff.priority !== 'normal' && <Badge tone={toneOf(handoff.priority)}>{words(handoff.priority)}</Badge>}
        {handoff.assignee && <Badge>{nameOf(handoff.assignee)}</Badge>}
      </div>
    </Link>
  )
}

function NothingWaits({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered) {
    return (
      <Empty icon={<Inbox size={20} />} title="Nothing fits these filters" action={<Button onClick={clear}>Clear filters</Button>}>
        The queue itself may have more.
      </Empty>
    )
  }
  return (
    <Empty icon={<CircleCheckBig size={20} />} title="Nothing waits for a person">
      A handoff appears here when a rule asks for a yes, when the agent is not sure, or when a customer wants to talk to somebody. Try{' '}
      <code className="font-mono text-xs">make demo</code>.
    </Empty>
  )
}

export function NothingOpen() {
  return (
    <div className="grid h-full place-items-center max-md:hidden">
      <Empty icon={<MousePointerClick size={20} />} title="Nothing is open">
        Choose a handoff at the left, or press <kbd className="font-semibold">j</kbd> to open the most urgent one. <kbd className="font-semibold">?</kbd> shows every key.
      </Empty>
    </div>
  )
}
