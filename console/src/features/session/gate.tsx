import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { onStepUp } from '@/api/client'
import { enterAsLocal, entersAsLocal, sessionQuery, stepUp } from '@/features/session/queries'
import { ChangePassword, SignIn } from '@/features/session/sign-in'
import { Dialog } from '@/ui/dialog'
import { TextField } from '@/ui/fields'
import { Button } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'

/** Nothing of the console is there before somebody is signed in. */
export function Gate({ children }: { children: ReactNode }) {
  const session = useQuery(sessionQuery)
  const [entered, setEntered] = useState(entersAsLocal)
  const enter = () => {
    enterAsLocal()
    setEntered(true)
  }
  if (session.isPending) return <div role="status" aria-label="Loading" className="h-full" />
  if (session.isError) {
    return (
      <main className="mx-auto max-w-lg p-8">
        <ProblemCard error={session.error} retry={() => void session.refetch()} />
      </main>
    )
  }
  const who = session.data
  if (who === null) return <SignIn local={null} />
  if (who.kind === 'local' && !entered) return <SignIn local={who.organisation} onLocal={enter} />
  if (who.passwordChangeNeeded) return <ChangePassword />
  return (
    <>
      {children}
      <StepUp />
    </>
  )
}

/** Asks for the password when something needs it once more, and tells whoever waits whether it was right. */
function StepUp() {
  const client = useQueryClient()
  const [open, setOpen] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [password, setPassword] = useState('')
  const answer = useRef<(proven: boolean) => void>(() => undefined)
  useEffect(() => {
    onStepUp(
      () =>
        new Promise((resolve) => {
          answer.current = resolve
          setError(null)
          setPassword('')
          setOpen(true)
        }),
    )
    return () => onStepUp(() => Promise.resolve(false))
  }, [])
  const end = (proven: boolean) => {
    setOpen(false)
    answer.current(proven)
  }
  const submit = () => {
    setBusy(true)
    setError(null)
    stepUp(client, password)
      .then(() => end(true), setError)
      .finally(() => setBusy(false))
  }
  return (
    <Dialog
      title="Your password, once more"
      open={open}
      onClose={() => end(false)}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={() => end(false)}>Cancel</Button>
          <Button type="submit" look="primary" busy={busy} disabled={!password}>
            Confirm
          </Button>
        </>
      }
    >
      <div className="grid gap-4">
        <p className="text-ink-2">
          What you are about to do moves much money or changes who may do what. Nothing was done yet. The password counts for five minutes.
        </p>
        <TextField label="Password" type="password" autoComplete="current-password" data-first value={password} onChange={(event) => setPassword(event.target.value)} />
        {error !== null && <ProblemCard error={error} />}
      </div>
    </Dialog>
  )
}
