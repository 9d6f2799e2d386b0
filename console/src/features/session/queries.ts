import { QueryClient, queryOptions, useQuery, useQueryClient } from '@tanstack/react-query'
import { act, Problem, read } from '@/api/client'
import type {
  ChangePasswordData, ChangePasswordResponses, GetSessionData, GetSessionResponses, ListOperatorsData, ListOperatorsResponses,
  SignInData, SignInResponses, SignOutData, StepUpData, StepUpResponses, WhoIsCalling,
} from '@/api/generated'

const LOCAL = 'holdfast.local'
const SIGNED_OUT = new Set(['not_authenticated', 'session_over', 'key_revoked', 'key_expired'])

/** `null`: nobody is signed in. */
export const sessionQuery = queryOptions<WhoIsCalling | null>({
  queryKey: ['session'],
  queryFn: async ({ signal }) => {
    try {
      return await read<GetSessionData, GetSessionResponses>('/session', {}, signal)
    } catch (error) {
      if (error instanceof Problem && SIGNED_OUT.has(error.code)) return null
      throw error
    }
  },
  staleTime: 60_000,
})

/** Whoever sits at the machine of `make up` is somebody already; they still say so once per tab. */
export const entersAsLocal = (): boolean => sessionStorage.getItem(LOCAL) === 'yes'

export function enterAsLocal(): void {
  sessionStorage.setItem(LOCAL, 'yes')
}

export async function signIn(client: QueryClient, body: SignInData['body']): Promise<void> {
  const who = await act<SignInData, SignInResponses>('POST', '/session', { body })
  // Nothing that somebody else was shown.
  client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'session' })
  client.setQueryData(sessionQuery.queryKey, who)
}

/** Ends with a new page: nothing of what was shown stays in memory. */
export async function signOut(who: WhoIsCalling): Promise<void> {
  sessionStorage.removeItem(LOCAL)
  if (who.kind === 'session') {
    try {
      await act<SignOutData, unknown>('DELETE', '/session', {})
    } catch (error) {
      if (!(error instanceof Problem) || !SIGNED_OUT.has(error.code)) throw error
    }
  }
  window.location.assign('/console')
}

export async function stepUp(client: QueryClient, password: string): Promise<void> {
  const who = await act<StepUpData, StepUpResponses>('POST', '/session/step-up', { body: { password } })
  client.setQueryData(sessionQuery.queryKey, who)
}

export async function changePassword(client: QueryClient, password: string, newPassword: string): Promise<void> {
  const who = await act<ChangePasswordData, ChangePasswordResponses>('POST', '/session/password', { body: { password, newPassword } })
  client.setQueryData(sessionQuery.queryKey, who)
}

/** An answer that speaks of the session: look how it stands. Not at once the sign-in, because whoever has just given the
 * password again has a new cookie, and what was asked with the old one is answered as if the session were over. */
export function heedProblem(client: QueryClient, error: unknown): void {
  if (!(error instanceof Problem)) return
  if (SIGNED_OUT.has(error.code) || error.code === 'password_change_needed') void client.invalidateQueries({ queryKey: ['session'] })
}

export type Scope = 'operator' | 'auditor' | 'builder' | 'admin'

export interface Me {
  who: WhoIsCalling
  can: (...scopes: Scope[]) => boolean
}

/** Who works here. Only below the gate, where somebody is. */
export function useMe(): Me {
  const client = useQueryClient()
  const who = useQuery(sessionQuery).data ?? client.getQueryData(sessionQuery.queryKey)
  if (!who) throw new Problem(401, 'session_over', 'Nobody is signed in.')
  const scopes = new Set<string>(who.scopes)
  return { who, can: (...needed) => scopes.has('admin') || needed.some((scope) => scopes.has(scope)) }
}

const operators = queryOptions({
  queryKey: ['operators'],
  queryFn: ({ signal }) => read<ListOperatorsData, ListOperatorsResponses>('/operators', { query: { limit: 200 } }, signal),
  staleTime: 300_000,
})

export function useOperators(enabled: boolean) {
  return useQuery({ ...operators, enabled })
}

/** How people are called here: their login for who may know it, else the end of their id. */
export function useNameOf(): (actor: string | null | undefined) => string {
  const { who, can } = useMe()
  const known = useOperators(can('admin')).data
  return (actor) => {
    if (!actor) return '—'
    if (actor === who.name) return 'You'
    if (actor === 'local') return 'This machine'
    if (actor === 'system') return 'Holdfast'
    if (actor === 'agent') return 'Agent'
    const found = known?.items.find((each) => each.id === actor)
    return found ? found.login : actor.startsWith('opr_') ? `Operator …${actor.slice(-5)}` : actor
  }
}
