import { useQueryClient } from '@tanstack/react-query'
import { ArrowRight, MonitorCheck } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { changePassword, signIn } from '@/features/session/queries'
import { Button } from '@/ui/parts'
import { TextField } from '@/ui/fields'
import { ProblemCard } from '@/ui/problem'

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" className="size-7" aria-hidden="true">
      <rect width="32" height="32" rx="8" className="fill-accent" />
      <path d="M10 8v16M22 8v16M10 16h12" fill="none" stroke="#fff" strokeWidth="3.4" strokeLinecap="round" />
    </svg>
  )
}

function Door({ title, children, below }: { title: string; children: ReactNode; below?: ReactNode }) {
  return (
    <main className="flex min-h-full items-center justify-center px-4 py-10">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-2.5">
          <Logo />
          <span className="text-lg font-semibold tracking-tight">Holdfast</span>
        </div>
        <div className="rounded-xl border border-line bg-panel p-6">
          <h1 className="mb-5 text-base font-semibold">{title}</h1>
          {children}
        </div>
        {below && <div className="mt-4 px-1 text-xs text-ink-3">{below}</div>}
      </div>
    </main>
  )
}

/** One form whose answer is a session, or a problem that stays on the page. */
function useSubmit(send: (values: Record<string, string>) => Promise<void>) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const submit = (form: HTMLFormElement) => {
    const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]))
    setBusy(true)
    setError(null)
    send(values)
      .catch(setError)
      .finally(() => setBusy(false))
  }
  return { busy, error, submit }
}

export function SignIn({ local, onLocal }: { local: string | null; onLocal?: () => void }) {
  const client = useQueryClient()
  const { busy, error, submit } = useSubmit(({ organisation = '', login = '', password = '' }) =>
    signIn(client, { organisation, login, password }),
  )
  return (
    <Door
      title="Sign in"
      below={local ? 'The password of the first operator was printed once, when the stack was first started.' : 'An admin of your organisation adds operators and can reset a password.'}
    >
      {local && (
        <>
          <Button look="primary" className="h-auto w-full justify-start py-2.5 text-left max-md:h-auto" onClick={onLocal} autoFocus>
            <MonitorCheck size={18} className="shrink-0" />
            <span className="min-w-0 flex-1 whitespace-normal">
              <span className="block font-semibold">Continue on this machine</span>
              <span className="block text-xs font-normal text-white/90">Administrator of {local}, no password</span>
            </span>
            <ArrowRight size={16} className="shrink-0" />
          </Button>
          <div className="my-5 flex items-center gap-3 text-xs text-ink-3">
            <span className="h-px flex-1 bg-line" /> or as an operator <span className="h-px flex-1 bg-line" />
          </div>
        </>
      )}
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          submit(event.currentTarget)
        }}
      >
        <TextField label="Organisation" name="organisation" required autoComplete="organization" defaultValue={local ?? localStorage.getItem('holdfast.organisation') ?? ''} />
        <TextField label="Login" name="login" required autoComplete="username" autoFocus={!local} autoCapitalize="none" spellCheck={false} />
        <TextField label="Password" name="password" type="password" required autoComplete="current-password" />
        {error !== null && <ProblemCard error={error} />}
        <Button type="submit" look={local ? 'plain' : 'primary'} busy={busy} className="h-9 w-full">
          Sign in
        </Button>
      </form>
    </Door>
  )
}

export function ChangePassword() {
  const client = useQueryClient()
  const { busy, error, submit } = useSubmit(async ({ password = '', next = '' }) => changePassword(client, password, next))
  return (
    <Door title="Choose your own password" below="Your other sessions end. Nobody else knows the new one, and it is kept as a hash only.">
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          submit(event.currentTarget)
        }}
      >
        <TextField label="One-time password" name="password" type="password" required autoComplete="current-password" hint="The one you signed in with." autoFocus />
        <TextField label="New password" name="next" type="password" required minLength={12} autoComplete="new-password" hint="At least twelve characters. A sentence is good." />
        {error !== null && <ProblemCard error={error} />}
        <Button type="submit" look="primary" busy={busy} className="h-9 w-full">
          Use this password
        </Button>
      </form>
    </Door>
  )
}
