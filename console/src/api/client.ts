// One way to the API: typed by the generated contract, with problem documents as errors.

export interface FieldProblem {
  field: string
  code: string
  message: string
}

/** What went wrong, as the API said it. `code` decides; `more` has the members a code brings besides. */
export class Problem extends Error {
  override name = 'Problem'
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly more: Record<string, unknown> = {},
    readonly errors: readonly FieldProblem[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(detail || code)
  }
}

type Operation = { url: string; path?: unknown; query?: unknown; body?: unknown }
type Without<T extends Operation> = Omit<T, 'url'>
type Result<R> = R extends { 200: infer A } ? A : R extends { 201: infer A } ? A : undefined

type Told = { path?: Record<string, string>; query?: Record<string, unknown>; body?: unknown }

async function send(method: string, url: string, told: Told, signal?: AbortSignal): Promise<unknown> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (method !== 'GET') headers['X-Holdfast-Csrf'] = '1'
  if (told.body !== undefined) headers['Content-Type'] = 'application/json'
  let answer: Response
  try {
    answer = await fetch(address(url, told), {
      method,
      headers,
      credentials: 'same-origin',
      ...(told.body === undefined ? {} : { body: JSON.stringify(told.body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Problem(0, 'unreachable', 'The API did not answer.')
  }
  if (answer.status === 204) return undefined
  const text = await answer.text()
  if (answer.ok) return text === '' ? undefined : JSON.parse(text)
  throw problemOf(answer, text)
}

/** A path with its parameters and its query; nothing that is empty stands in it. */
export function address(url: string, told: { path?: Record<string, string>; query?: Record<string, unknown> }): string {
  const path = url.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(told.path?.[name] ?? ''))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(told.query ?? {})) {
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value))
  }
  const asked = query.toString()
  return asked ? `${path}?${asked}` : path
}

function problemOf(answer: Response, text: string): Problem {
  const wait = Number(answer.headers.get('Retry-After'))
  try {
    const { status, code, detail, errors, type: _type, title: _title, ...more } = JSON.parse(text) as Record<string, unknown>
    return new Problem(
      typeof status === 'number' ? status : answer.status,
      typeof code === 'string' ? code : 'unexpected',
      typeof detail === 'string' ? detail : '',
      more,
      Array.isArray(errors) ? (errors as FieldProblem[]) : [],
      wait || null,
    )
  } catch {
    return new Problem(answer.status, 'unexpected', `The server answered ${answer.status}, and not as a problem document.`)
  }
}

/** Reads. `read<GetHandoffData, GetHandoffResponses>('/handoffs/{handoffId}', { path: { handoffId } })` */
export async function read<D extends Operation, R>(url: D['url'], told: Without<D>, signal?: AbortSignal): Promise<Result<R>> {
  return (await send('GET', url, told as Told, signal)) as Result<R>
}

type StepUp = () => Promise<boolean>
let askForPassword: StepUp = () => Promise.resolve(false)

/** Who asks for the password when an act needs it once more. */
export function onStepUp(ask: StepUp): void {
  askForPassword = ask
}

/** Changes something. What needs the password once more is asked for and then sent again: nothing had been done. */
export async function act<D extends Operation, R>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: D['url'],
  told: Without<D>,
): Promise<Result<R>> {
  try {
    return (await send(method, url, told as Told)) as Result<R>
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'step_up_needed' || !(await askForPassword())) throw error
    return (await send(method, url, told as Told)) as Result<R>
  }
}
