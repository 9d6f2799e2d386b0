import { infiniteQueryOptions, queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { act, read } from '@/api/client'
import type {
  DeliveryDetail, DiscardDeliveryData, DiscardDeliveryResponses, GetDeliveryData, GetDeliveryResponses, ListDeliveriesData,
  ListDeliveriesResponses, RedriveDeliveriesData, RedriveDeliveriesResponses, RedriveDeliveryData, RedriveDeliveryResponses,
} from '@/api/generated'

export type DeliveryFilters = Partial<Record<'status' | 'channel' | 'reason' | 'customerId' | 'interactionId', string>>

export const deliveriesQuery = (filters: DeliveryFilters) =>
  infiniteQueryOptions({
    queryKey: ['deliveries', filters],
    queryFn: ({ pageParam, signal }) =>
      read<ListDeliveriesData, ListDeliveriesResponses>(
        '/deliveries',
        { query: { ...filters, limit: 50, cursor: pageParam } as NonNullable<ListDeliveriesData['query']> },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor ?? null,
    refetchInterval: 5_000,
  })

export const deliveryQuery = (deliveryId: string) =>
  queryOptions({
    queryKey: ['delivery', deliveryId],
    queryFn: ({ signal }) => read<GetDeliveryData, GetDeliveryResponses>('/deliveries/{deliveryId}', { path: { deliveryId } }, signal),
    refetchInterval: 4_000,
  })

export function useDeliveryActs(deliveryId: string) {
  const client = useQueryClient()
  const path = { deliveryId }
  const refresh = () => {
    for (const key of ['delivery', 'deliveries', 'dashboard']) void client.invalidateQueries({ queryKey: [key] })
  }
  const done = (shown: DeliveryDetail) => {
    client.setQueryData(deliveryQuery(deliveryId).queryKey, shown)
    refresh()
  }
  return {
    redrive: useMutation({
      mutationFn: (body: RedriveDeliveryData['body']) => act<RedriveDeliveryData, RedriveDeliveryResponses>('POST', '/deliveries/{deliveryId}/redrive', { path, body }),
      onSuccess: done,
      onError: refresh,
    }),
    discard: useMutation({
      mutationFn: (note: string) => act<DiscardDeliveryData, DiscardDeliveryResponses>('POST', '/deliveries/{deliveryId}/discard', { path, body: { note } }),
      onSuccess: done,
      onError: refresh,
    }),
  }
}

/** Many at once. With `dryRun` it only says which. */
export const redriveAll = (filter: DeliveryFilters, dryRun: boolean) => {
  const { status: _status, ...rest } = filter
  return act<RedriveDeliveriesData, RedriveDeliveriesResponses>('POST', '/dead-letters/redrive', { body: { filter: rest, dryRun } })
}
