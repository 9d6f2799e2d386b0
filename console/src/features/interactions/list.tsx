import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { MessagesSquare } from 'lucide-react'
import type { InteractionSummary } from '@/api/generated'
import { type InteractionFilters, interactionsQuery } from '@/features/interactions/queries'
import { percent, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { FilterSelect, SearchBox } from '@/ui/fields'
import { List } from '@/ui/list'
import { Badge, Button, Empty } from '@/ui/parts'
import type { Columns } from '@/ui/table'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

const choices = (...codes: string[]) => codes.map((each) => [each, words(each)] as const)
const STATUSES = choices('running', 'waiting_for_human', 'completed', 'refused', 'failed')
const INTENTS = choices(
  'refund_request', 'billing_question', 'account_question', 'order_status', 'appointment_booking', 'appointment_change', 'technical_issue',
  'complaint', 'cancellation', 'human_request', 'greeting', 'other',
)
const MODES = choices('live', 'shadow')

const COLUMNS: Columns<InteractionSummary> = [
  {
    id: 'customer',
    header: 'Customer',
    cell: ({ row: { original: each } }) => (
      <Link to="/interactions/$interactionId" params={{ interactionId: each.id }} className="block truncate font-medium">
        {each.customerId}
      </Link>
    ),
  },
  { id: 'intent', header: 'Wanted', cell: ({ row }) => words(row.original.intent) },
  {
    id: 'status',
    header: 'Status',
    cell: ({ row: { original: each } }) => (
      <span className="flex gap-1.5">
        <Badge tone={toneOf(each.status)}>{words(each.status)}</Badge>
        {each.mode === 'shadow' && <Badge tone="violet">Shadow</Badge>}
      </span>
    ),
  },
  { id: 'outcome', header: 'Decision', cell: ({ row }) => <span className="text-ink-2">{words(row.original.outcome)}</span> },
  { id: 'confidence', header: 'Confidence', cell: ({ row }) => <span className="num text-ink-2">{percent(row.original.confidence)}</span> },
  { id: 'at', header: 'Received', cell: ({ row }) => <Ago at={row.original.createdAt} className="text-ink-2" /> },
]

export function InteractionsPage() {
  const filters: InteractionFilters = useSearch({ from: '/interactions/' })
  const navigate = useNavigate()
  const found = useInfiniteQuery(interactionsQuery(filters))
  const change = (more: InteractionFilters) => void navigate({ to: '/interactions', search: { ...filters, ...more } as never })
  return (
    <Page
      title="Interactions"
      filters={
        <>
          <SearchBox label="Customer id" value={filters.customerId} onSearch={(customerId) => change({ customerId } as InteractionFilters)} className="w-56 max-md:w-full" />
          <FilterSelect label="Status" all="Any status" value={filters.status} options={STATUSES} onPick={(status) => change({ status } as InteractionFilters)} />
          <FilterSelect label="Wanted" all="Any intent" value={filters.intent} options={INTENTS} onPick={(intent) => change({ intent } as InteractionFilters)} />
          <FilterSelect label="Mode" all="Live and shadow" value={filters.mode} options={MODES} onPick={(mode) => change({ mode } as InteractionFilters)} />
          {Object.keys(filters).length > 0 && (
            <Button look="quiet" onClick={() => void navigate({ to: '/interactions', search: {} })}>
              Clear
            </Button>
          )}
        </>
      }
    >
      <List
        found={found}
        label="Interactions"
        columns={COLUMNS}
        keyOf={(each) => each.id}
        to={(each) => `/interactions/${each.id}`}
        wide={['outcome', 'confidence', 'intent']}
        numeric={['confidence', 'at']}
        empty={
          Object.keys(filters).length > 0 ? (
            <Empty icon={<MessagesSquare size={20} />} title="No interaction fits these filters" />
          ) : (
            <Empty icon={<MessagesSquare size={20} />} title="Nobody has written yet">
              Every message becomes an interaction, with everything that was decided and done. Send one with <code className="font-mono text-xs">POST /chat</code>, or run{' '}
              <code className="font-mono text-xs">make demo</code>.
            </Empty>
          )
        }
      />
    </Page>
  )
}
