import { queryOptions, useQuery } from '@tanstack/react-query'
import { read } from '@/api/client'
import type { GetDashboardData, GetDashboardResponses } from '@/api/generated'
import { useMe } from '@/features/session/queries'

export const dashboardQuery = queryOptions({
  queryKey: ['dashboard'],
  queryFn: ({ signal }) => read<GetDashboardData, GetDashboardResponses>('/metrics/dashboard', {}, signal),
  refetchInterval: 10_000,
})

export interface Waiting {
  handoffs: number
  overdue: number
  deadLetters: number
  unknownEffects: number
  running: number
}

/** How much waits, as it stands now; the same numbers beside the navigation and on the overview. */
export function useBacklog(): Waiting | null {
  const { can } = useMe()
  const { data } = useQuery({ ...dashboardQuery, enabled: can('operator', 'auditor') })
  if (!data) return null
  const sum = (what: string, state?: string) =>
    (data.backlog ?? []).filter((each) => each.what === what && (!state || each.state === state)).reduce((n, each) => n + each.count, 0)
  return {
    handoffs: sum('handoffs'),
    overdue: sum('handoffs_overdue'),
    deadLetters: sum('deliveries', 'dead_letter'),
    unknownEffects: sum('effects', 'unknown'),
    running: sum('interactions', 'running'),
  }
}
