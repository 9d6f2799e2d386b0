import { infiniteQueryOptions, queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { act, Problem, read } from '@/api/client'
import type {
  ApproveHandoffData, ApproveHandoffResponses, ClaimHandoffData, ClaimHandoffResponses, GetConversationData, GetConversationResponses,
  GetHandoffData, GetHandoffResponses, HandoffDetail, ListHandoffsData, ListHandoffsResponses, LookAtHandoffData, NoteHandoffData,
  NoteHandoffResponses, PrioritiseHandoffData, PrioritiseHandoffResponses, Priority, ReassignHandoffData, ReassignHandoffResponses,
  RejectHandoffData, RejectHandoffResponses, ReleaseHandoffData, ReleaseHandoffResponses, ResolveHandoffData, ResolveHandoffResponses,
} from '@/api/generated'

export type HandoffFilters = Partial<Record<'status' | 'kind' | 'priority' | 'breached' | 'mine', string>>

export const handoffsQuery = (filters: HandoffFilters) =>
  infiniteQueryOptions({
    queryKey: ['handoffs', filters],
    queryFn: ({ pageParam, signal }) =>
      read<ListHandoffsData, ListHandoffsResponses>(
        '/handoffs',
        { query: { ...filters, limit: 50, cursor: pageParam } as unknown as NonNullable<ListHandoffsData['query']> },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor ?? null,
    refetchInterval: 5_000,
  })

export const handoffQuery = (handoffId: string) =>
  queryOptions({
    queryKey: ['handoff', handoffId],
    queryFn: ({ signal }) => read<GetHandoffData, GetHandoffResponses>('/handoffs/{handoffId}', { path: { handoffId } }, signal),
    refetchInterval: 3_000,
  })

export const conversationQuery = (conversationId: string) =>
  queryOptions({
    queryKey: ['conversation', conversationId],
    queryFn: ({ signal }) =>
      read<GetConversationData, GetConversationResponses>('/conversations/{conversationId}', { path: { conversationId }, query: { limit: 50 } }, signal),
    refetchInterval: 5_000,
  })

/** Shown to the others for a minute. */
export const lookAt = (handoffId: string) => act<LookAtHandoffData, unknown>('POST', '/handoffs/{handoffId}/presence', { path: { handoffId } })

/** What an operator can do to a handoff. Each answers with the handoff as it then stands, which is what is shown. */
export function useHandoffActs(handoffId: string) {
  const client = useQueryClient()
  const path = { handoffId }
  const done = (shown: HandoffDetail) => {
    client.setQueryData(handoffQuery(handoffId).queryKey, shown)
    for (const key of ['handoffs', 'dashboard', 'conversation', 'interaction', 'interactions']) void client.invalidateQueries({ queryKey: [key] })
  }
  // Somebody else may have been first: show how it stands now, beside what the problem says.
  const onError = (error: unknown) => {
    if (error instanceof Problem && error.status === 409) {
      void client.invalidateQueries({ queryKey: ['handoff', handoffId] })
      void client.invalidateQueries({ queryKey: ['handoffs'] })
    }
  }
  const mutation = <V,>(mutationFn: (given: V) => Promise<HandoffDetail>) => ({ mutationFn, onSuccess: done, onError })
  return {
    claim: useMutation(mutation(() => act<ClaimHandoffData, ClaimHandoffResponses>('POST', '/handoffs/{handoffId}/claim', { path }))),
    release: useMutation(mutation(() => act<ReleaseHandoffData, ReleaseHandoffResponses>('POST', '/handoffs/{handoffId}/release', { path }))),
    approve: useMutation(
      mutation((body: ApproveHandoffData['body']) => act<ApproveHandoffData, ApproveHandoffResponses>('POST', '/handoffs/{handoffId}/approve', { path, body })),
    ),
    reject: useMutation(
      mutation((body: RejectHandoffData['body']) => act<RejectHandoffData, RejectHandoffResponses>('POST', '/handoffs/{handoffId}/reject', { path, body })),
    ),
    resolve: useMutation(
      mutation((body: ResolveHandoffData['body']) => act<ResolveHandoffData, ResolveHandoffResponses>('POST', '/handoffs/{handoffId}/resolve', { path, body })),
    ),
    reassign: useMutation(
      mutation((to: string) => act<ReassignHandoffData, ReassignHandoffResponses>('POST', '/handoffs/{handoffId}/reassign', { path, body: { to } })),
    ),
    note: useMutation(mutation((note: string) => act<NoteHandoffData, NoteHandoffResponses>('POST', '/handoffs/{handoffId}/notes', { path, body: { note } }))),
    priority: useMutation(
      mutation((priority: Priority) =>
        act<PrioritiseHandoffData, PrioritiseHandoffResponses>('POST', '/handoffs/{handoffId}/priority', { path, body: { priority } }),
      ),
    ),
  }
}

export type HandoffActs = ReturnType<typeof useHandoffActs>
