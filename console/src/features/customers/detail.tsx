import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { Receipt, Zap } from 'lucide-react'
import { useState } from 'react'
import type { Account, ShownEffect, ShownInvoice } from '@/api/generated'
import { consentsQuery, customerQuery, effectsQuery, invoicesQuery } from '@/features/customers/queries'
import { EffectStory } from '@/features/customers/effect'
import { useMe } from '@/features/session/queries'
import { callTitle, day, money, moneyIn, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { Badge, Button, Card, Empty, Fact, Facts, Skeleton, SkeletonRows } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { type Columns, DataTable } from '@/ui/table'
import { Ago } from '@/ui/time'
import { toneOf } from '@/ui/tones'

export function CustomerPage() {
  const { customerId } = useParams({ from: '/customers/$customerId' })
  const found = useQuery(customerQuery(customerId))
  if (found.isPending) return <Page title={customerId}><Skeleton className="h-64" /></Page>
  if (!found.data) return <Page title={customerId}><ProblemCard error={found.error} retry={() => void found.refetch()} /></Page>
  return <Customer account={found.data} />
}

function Customer({ account }: { account: Account }) {
  const { can } = useMe()
  const sees = can('operator', 'auditor')
  const { customerId } = account
  return (
    <Page
      title={account.name || customerId}
      aside={
        sees && (
          <>
            <Link to="/interactions" search={{ customerId }} className="inline-flex h-8 items-center rounded-md border border-line-strong bg-panel px-3 font-medium hover:bg-hover">
              Interactions
            </Link>
            <Link to="/deliveries" search={{ customerId }} className="inline-flex h-8 items-center rounded-md border border-line-strong bg-panel px-3 font-medium hover:bg-hover">
              Deliveries
            </Link>
          </>
        )
      }
    >
      <div className="grid items-start gap-4 xl:grid-cols-[20rem_minmax(0,1fr)]">
        <div className="grid min-w-0 gap-4">
          <Profile account={account} />
          <Consents customerId={customerId} />
        </div>
        <div className="grid min-w-0 gap-4">
          <Invoices customerId={customerId} />
          {sees && <Effects customerId={customerId} />}
        </div>
      </div>
    </Page>
  )
}

function Profile({ account }: { account: Account }) {
  return (
    <Card title="Profile" aside={<Badge tone={toneOf(account.status)}>{words(account.status)}</Badge>}>
      <div className="p-4">
        <Facts>
          <Fact name="Customer id">
            <span className="font-mono text-xs">{account.customerId}</span>
          </Fact>
          <Fact name="Plan">{words(account.plan)}</Fact>
          <Fact name="E-mail">{account.email ?? '—'}</Fact>
          <Fact name="Phone">{account.phone ?? '—'}</Fact>
          <Fact name="Language">{account.language ?? '—'}</Fact>
          <Fact name="Time zone">{account.timeZone ?? '—'}</Fact>
          <Fact name="Region">{account.region ?? '—'}</Fact>
        </Facts>
      </div>
    </Card>
  )
}

function Consents({ customerId }: { customerId: string }) {
  const found = useQuery(consentsQuery(customerId))
  const items = found.data?.items ?? []
  return (
    <Card title="Consents">
      {found.isError && <ProblemCard className="m-3" error={found.error} />}
      {found.data && items.length === 0 && <p className="px-4 py-3 text-ink-2">Nothing said: answers only, none of our own ideas.</p>}
      <ul className="divide-y divide-line">
        {items.map((each) => (
          <li key={each.channel} className="flex items-center justify-between gap-3 px-4 py-2.5">
            <span className="font-medium">{words(each.channel)}</span>
            <Badge tone={toneOf(each.status)}>{words(each.status)}</Badge>
          </li>
        ))}
      </ul>
    </Card>
  )
}

const INVOICES: Columns<ShownInvoice> = [
  { id: 'id', header: 'Invoice', cell: ({ row }) => <span className="font-mono text-xs">{row.original.id}</span> },
  { id: 'status', header: 'Status', cell: ({ row }) => <Badge tone={toneOf(row.original.status)}>{words(row.original.status)}</Badge> },
  { id: 'paid', header: 'Paid', cell: ({ row }) => <span className="text-ink-2">{row.original.paidAt ? day(row.original.paidAt) : '—'}</span> },
  { id: 'total', header: 'Total', cell: ({ row }) => <span className="num">{money(row.original.total)}</span> },
  { id: 'refunded', header: 'Refunded', cell: ({ row }) => <span className={row.original.refunded.amount ? 'num' : 'num text-ink-3'}>{money(row.original.refunded)}</span> },
  { id: 'refundable', header: 'Refundable', cell: ({ row }) => <span className="num font-medium">{money(row.original.refundable)}</span> },
]

function Invoices({ customerId }: { customerId: string }) {
  const found = useQuery(invoicesQuery(customerId))
  return (
    <Card title="Invoices">
      {found.isPending && <SkeletonRows rows={2} />}
      {found.isError && <ProblemCard className="m-3" error={found.error} />}
      {found.data && found.data.items.length === 0 && (
        <Empty icon={<Receipt size={20} />} title="No invoices">What was billed comes from your own systems; what was given back comes from the ledger below.</Empty>
      )}
      {found.data && found.data.items.length > 0 && (
        <DataTable label="Invoices" rows={found.data.items} columns={INVOICES} keyOf={(each) => each.id} wide={['paid', 'refunded']} numeric={['total', 'refunded', 'refundable']} />
      )}
    </Card>
  )
}

/** The ledger of one customer: what we did or tried, whether it happened, and what allowed it. */
function Effects({ customerId }: { customerId: string }) {
  const found = useInfiniteQuery(effectsQuery(customerId))
  const [open, setOpen] = useState<string | null>(null)
  const rows = found.data?.pages.flatMap((page) => page.items) ?? []
  const columns: Columns<ShownEffect> = [
    {
      id: 'what',
      header: 'What we did',
      cell: ({ row: { original: each } }) => (
        <button type="button" onClick={() => setOpen(each.id)} className="rounded text-left font-medium text-accent-text hover:underline">
          {callTitle(each.tool)}
        </button>
      ),
    },
    { id: 'state', header: 'Did it happen', cell: ({ row }) => <Badge tone={toneOf(row.original.effect)}>{words(row.original.effect)}</Badge> },
    {
      id: 'amount',
      header: 'Amount',
      cell: ({ row }) => {
        const sum = moneyIn(row.original.arguments ?? {})
        return <span className="num">{sum ? money(sum) : ''}</span>
      },
    },
    { id: 'allowed', header: 'Allowed by', cell: ({ row }) => <span className="text-ink-2">{row.original.handoffId ? 'A person' : `Rules, version ${row.original.policyVersion}`}</span> },
    { id: 'at', header: 'When', cell: ({ row }) => <Ago at={row.original.at} className="text-ink-2" /> },
  ]
  return (
    <Card title="What we did to this customer">
      {found.isPending && <SkeletonRows rows={3} />}
      {found.isError && <ProblemCard className="m-3" error={found.error} />}
      {found.data && rows.length === 0 && (
        <Empty icon={<Zap size={20} />} title="Nothing yet">Every refund, mail and ticket is written here before it is done, with what became of it and who allowed it.</Empty>
      )}
      {rows.length > 0 && <DataTable label="Effects" rows={rows} columns={columns} keyOf={(each) => each.id} wide={['allowed', 'at']} numeric={['amount', 'at']} />}
      {found.hasNextPage && (
        <div className="border-t border-line p-3 text-center">
          <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
      <EffectStory effectId={open} onClose={() => setOpen(null)} />
    </Card>
  )
}
