import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Button, Card, SkeletonRows } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import { type Columns, DataTable } from '@/ui/table'

interface Props<T extends object> {
  found: UseInfiniteQueryResult<InfiniteData<{ items: T[] }>, Error>
  label: string
  columns: Columns<T>
  keyOf: (row: T) => string
  to?: (row: T) => string
  wide?: readonly string[]
  numeric?: readonly string[]
  empty: ReactNode
}

/** A list as the API pages it: what is coming, what went wrong, what is there, and more of it. */
export function List<T extends object>({ found, empty, ...table }: Props<T>) {
  if (found.isPending) return <Card><SkeletonRows /></Card>
  if (found.isError && !found.data) return <ProblemCard error={found.error} retry={() => void found.refetch()} />
  const rows = found.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <>
      {found.isError && <ProblemCard className="mb-3" error={found.error} retry={() => void found.refetch()} />}
      <Card>{rows.length === 0 ? empty : <DataTable rows={rows} {...table} />}</Card>
      {found.hasNextPage && (
        <div className="py-4 text-center">
          <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
    </>
  )
}
