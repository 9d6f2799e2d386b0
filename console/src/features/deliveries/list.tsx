import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { MailCheck, Send } from 'lucide-react'
import { useState } from 'react'
import type { DeliverySummary } from '@/api/generated'
import { Bulk } from '@/features/deliveries/bulk'
import { deliveriesQuery, type DeliveryFilters } from '@/features/deliveries/queries'
import { useMe } from '@/features/session/queries'
import { words } from '@/lib/words'
import { Page } from '@/shell/page'
import { FilterSelect, SearchBox } from '@/ui/fields'
import { List } from '@/ui/list'
import { Badge, Button, Empty } from '@/ui/parts'
import type { Columns } from '@/ui/table'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

const choices = (...codes: string[]) => codes.map((each) => [each, words(each)] as const)
const STATUSES = [['dead_letter', 'Dead letters'], ...choices('pending', 'delivered', 'discarded')] as const
const CHANNELS = choices('chat', 'email', 'webhook', 'room')

const COLUMNS: Columns<DeliverySummary> = [
  {
    id: 'what',
    header: 'What',
    cell: ({ row: { original: each } }) => (
      <Link to="/deliveries/$deliveryId" params={{ deliveryId: each.id }} className="block truncate font-medium">
        {words(each.purpose)}
      </Link>
    ),
  },
  { id: 'channel', header: 'Channel', cell: ({ row }) => words(row.original.channel) },
  { id: 'status', header: 'Status', cell: ({ row }) => <Badge tone={toneOf(row.original.status)}>{words(row.original.status)}</Badge> },
  {
    id: 'reason',
    header: 'What went wrong',
    cell: ({ row: { original: each } }) => <span className="text-ink-2">{each.reason || each.lastFailure ? words(each.reason ?? each.lastFailure) : ''}</span>,
  },
  { id: 'customer', header: 'Customer', cell: ({ row }) => <span className="block truncate text-ink-2">{row.original.customerId ?? '—'}</span> },
  { id: 'attempts', header: 'Tries', cell: ({ row }) => <span className="num text-ink-2">{row.original.attempts}</span> },
  { id: 'at', header: 'Created', cell: ({ row }) => <Ago at={row.original.createdAt} className="text-ink-2" /> },
]

export function DeliveriesPage() {
  const filters: DeliveryFilters = useSearch({ from: '/deliveries/' })
  const navigate = useNavigate()
  const { can } = useMe()
  const [bulk, setBulk] = useState(false)
  const found = useInfiniteQuery(deliveriesQuery(filters))
  const change = (more: DeliveryFilters) => void navigate({ to: '/deliveries', search: { ...filters, ...more } as never })
  const dead = filters.status === 'dead_letter'
  return (
    <Page
      title={dead ? 'Dead letters' : 'Deliveries'}
      aside={dead && can('operator') && (found.data?.pages[0]?.items.length ?? 0) > 0 && <Button onClick={() => setBulk(true)}>Send again, all of these…</Button>}
      filters={
        <>
          <FilterSelect label="Status" all="Any status" value={filters.status} options={STATUSES} onPick={(status) => change({ status } as DeliveryFilters)} />
          <FilterSelect label="Channel" all="Any channel" value={filters.channel} options={CHANNELS} onPick={(channel) => change({ channel } as DeliveryFilters)} />
          <SearchBox label="Reason" placeholder="Reason, such as smtp_550" value={filters.reason} onSearch={(reason) => change({ reason } as DeliveryFilters)} className="w-52 max-md:w-full" />
          <SearchBox label="Customer id" value={filters.customerId} onSearch={(customerId) => change({ customerId } as DeliveryFilters)} className="w-44 max-md:w-full" />
          {Object.keys(filters).length > 0 && (
            <Button look="quiet" onClick={() => void navigate({ to: '/deliveries', search: {} })}>
              Clear
            </Button>
          )}
        </>
      }
    >
      <List
        found={found}
        label="Deliveries"
        columns={COLUMNS}
        keyOf={(each) => each.id}
        to={(each) => `/deliveries/${each.id}`}
        wide={['customer', 'attempts', 'channel', 'reason']}
        numeric={['attempts', 'at']}
        empty={
          dead ? (
            <Empty icon={<MailCheck size={20} />} title="No dead letters">
              Whatever could not be delivered waits here until somebody corrects it and sends it again, or lets it be. Nothing is lost silently.
            </Empty>
          ) : (
            <Empty icon={<Send size={20} />} title="Nothing was sent">Replies, mails, webhooks and lines in chat rooms show here, with every attempt.</Empty>
          )
        }
      />
      {bulk && <Bulk filters={filters} onClose={() => setBulk(false)} />}
    </Page>
  )
}
