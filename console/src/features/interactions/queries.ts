import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { read } from '@/api/client'
import type { GetInteractionData, GetInteractionResponses, ListInteractionsData, ListInteractionsResponses } from '@/api/generated'

export type InteractionFilters = Partial<Record<'status' | 'intent' | 'mode' | 'customerId' | 'conversationId', string>>

export const interactionsQuery = (filters: InteractionFilters) =>
  infiniteQueryOptions({
    queryKey: ['interactions', filters],
    queryFn: ({ pageParam, signal }) =>
      read<ListInteractionsData, ListInteractionsResponses>(
        '/interactions',
        { query: { ...filters, limit: 50, cursor: pageParam } as NonNullable<ListInteractionsData['query']> },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor ?? null,
    refetchInterval: 5_000,
  })

export const interactionQuery = (interactionId: string) =>
  queryOptions({
    queryKey: ['interaction', interactionId],
    queryFn: ({ signal }) =>
      read<GetInteractionData, GetInteractionResponses>('/interactions/{interactionId}', { path: { interactionId } }, signal),
    refetchInterval: 4_000,
  })
