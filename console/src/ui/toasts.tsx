import { CircleCheck, CircleAlert, X } from 'lucide-react'
import { useSyncExternalStore } from 'react'
import { advice } from '@/lib/advice'
import { asProblem } from '@/ui/problem'

interface Toast {
  id: number
  tone: 'ok' | 'bad'
  title: string
  what?: string
}

let toasts: readonly Toast[] = []
let last = 0
const watching = new Set<() => void>()

function put(next: readonly Toast[]): void {
  toasts = next
  for (const tell of watching) tell()
}

function add(toast: Omit<Toast, 'id'>, ms: number): void {
  const id = ++last
  put([...toasts.slice(-2), { id, ...toast }])
  setTimeout(() => put(toasts.filter((each) => each.id !== id)), ms)
}

export const say = (title: string, what?: string): void => add({ tone: 'ok', title, ...(what ? { what } : {}) }, 6_000)

/** An act that did not happen, where no form stays open to say so. */
export function sayProblem(error: unknown): void {
  const { title, what } = advice(asProblem(error))
  add({ tone: 'bad', title, what }, 12_000)
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (changed) => {
      watching.add(changed)
      return () => watching.delete(changed)
    },
    () => toasts,
  )
  return (
    <div aria-live="polite" className="pointer-events-none fixed right-4 bottom-4 z-40 grid w-88 max-w-[calc(100vw-2rem)] gap-2 max-md:bottom-20">
      {shown.map((toast) => (
        <div key={toast.id} className="pointer-events-auto flex gap-2.5 rounded-lg border border-line-strong bg-panel p-3 shadow-(--shadow)">
          {toast.tone === 'ok' ? (
            <CircleCheck size={16} className="mt-0.5 shrink-0 text-ok" />
          ) : (
            <CircleAlert size={16} className="mt-0.5 shrink-0 text-bad" />
          )}
          <div className="min-w-0 flex-1">
            <p className="font-medium">{toast.title}</p>
            {toast.what && <p className="text-ink-2">{toast.what}</p>}
          </div>
          <button
            type="button"
            aria-label="Dismiss"
            onClick={() => put(toasts.filter((each) => each.id !== toast.id))}
            className="h-fit rounded p-1 text-ink-3 hover:bg-hover hover:text-ink"
          >
            <X size={14} />
          </button>
        </div>
      ))}
    </div>
  )
}
