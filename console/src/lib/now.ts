import { useSyncExternalStore } from 'react'

// One clock for everything that ticks: all countdowns change in the same frame.
let at = Date.now()
const watching = new Set<() => void>()
let ticking: ReturnType<typeof setInterval> | undefined

function watch(changed: () => void): () => void {
  watching.add(changed)
  ticking ??= setInterval(() => {
    at = Date.now()
    for (const tell of watching) tell()
  }, 1000)
  return () => {
    watching.delete(changed)
    if (watching.size === 0) {
      clearInterval(ticking)
      ticking = undefined
    }
  }
}

/** Milliseconds, a new value every second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => at)
}
