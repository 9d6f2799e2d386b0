import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { Users } from 'lucide-react'
import { interactionsQuery } from '@/features/interactions/queries'
import { useMe } from '@/features/session/queries'
import { words } from '@/lib/words'
import { Page } from '@/shell/page'
import { SearchBox } from '@/ui/fields'
import { Card, Empty, SkeletonRows } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { Ago } from '@/ui/time'

/** One looks for somebody by the id one's own systems know; below are those who wrote last. */
export function CustomersPage() {
  const navigate = useNavigate()
  const { can } = useMe()
  const mayList = can('operator', 'auditor')
  const found = useInfiniteQuery({ ...interactionsQuery({}), enabled: mayList })
  const seen = new Map(found.data?.pages.flatMap((page) => page.items).toReversed().map((each) => [each.customerId, each]))
  const latest = [...seen.values()].sort((a, b) => b.createdAt.localeCompare(a.createdAt))
  return (
    <Page title="Customers" narrow>
      <SearchBox
        label="Open a customer by id"
        placeholder="Customer id, as your systems know it"
        value={undefined}
        onSearch={(customerId) => customerId && void navigate({ to: '/customers/$customerId', params: { customerId } })}
        className="mb-4"
      />
      {mayList && (
        <Card title="Wrote last">
          {found.isPending && <SkeletonRows />}
          {found.isError && <ProblemCard className="m-3" error={found.error} />}
          {found.data && latest.length === 0 && (
            <Empty icon={<Users size={20} />} title="Nobody has written yet">
              Customers come from your own systems with <code className="font-mono text-xs">PUT /customers/…</code>. Those who write show here.
            </Empty>
          )}
          <ul className="divide-y divide-line">
            {latest.map((each) => (
              <li key={each.customerId}>
                <Link
                  to="/customers/$customerId"
                  params={{ customerId: each.customerId }}
                  className="focus-inset flex items-center justify-between gap-4 px-4 py-2.5 hover:bg-hover"
                >
                  <span className="truncate font-medium">{each.customerId}</span>
                  <span className="flex shrink-0 items-center gap-4 text-ink-2">
                    <span className="max-md:hidden">{words(each.intent)}</span>
                    <Ago at={each.createdAt} className="w-20 text-right text-ink-3" />
                  </span>
                </Link>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </Page>
  )
}
