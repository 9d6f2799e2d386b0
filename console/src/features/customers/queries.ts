import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { read } from '@/api/client'
import type {
  GetCustomerData, GetCustomerResponses, GetEffectData, GetEffectResponses, ListConsentsData, ListConsentsResponses,
  ListCustomerEffectsData, ListCustomerEffectsResponses, ListInvoicesData, ListInvoicesResponses,
} from '@/api/generated'

export const customerQuery = (customerId: string) =>
  queryOptions({
    queryKey: ['customer', customerId],
    queryFn: ({ signal }) => read<GetCustomerData, GetCustomerResponses>('/customers/{customerId}', { path: { customerId } }, signal),
  })

export const invoicesQuery = (customerId: string) =>
  queryOptions({
    queryKey: ['customer', customerId, 'invoices'],
    queryFn: ({ signal }) => read<ListInvoicesData, ListInvoicesResponses>('/customers/{customerId}/invoices', { path: { customerId } }, signal),
    refetchInterval: 10_000,
  })

export const consentsQuery = (customerId: string) =>
  queryOptions({
    queryKey: ['customer', customerId, 'consents'],
    queryFn: ({ signal }) => read<ListConsentsData, ListConsentsResponses>('/customers/{customerId}/consents', { path: { customerId } }, signal),
  })

export const effectsQuery = (customerId: string) =>
  infiniteQueryOptions({
    queryKey: ['customer', customerId, 'effects'],
    queryFn: ({ pageParam, signal }) =>
      read<ListCustomerEffectsData, ListCustomerEffectsResponses>(
        '/customers/{customerId}/effects',
        { path: { customerId }, query: { limit: 50, cursor: pageParam } },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor ?? null,
    refetchInterval: 10_000,
  })

export const effectQuery = (effectId: string) =>
  queryOptions({
    queryKey: ['effect', effectId],
    queryFn: ({ signal }) => read<GetEffectData, GetEffectResponses>('/effects/{effectId}', { path: { effectId } }, signal),
  })
