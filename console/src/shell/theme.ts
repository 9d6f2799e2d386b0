import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'holdfast.theme'
const dark = window.matchMedia('(prefers-color-scheme: dark)')
const watching = new Set<() => void>()

function chosen(): Theme {
  const kept = localStorage.getItem(KEY)
  return kept === 'light' || kept === 'dark' ? kept : 'system'
}

function show(): void {
  const theme = chosen()
  document.documentElement.classList.toggle('dark', theme === 'dark' || (theme === 'system' && dark.matches))
  for (const tell of watching) tell()
}

dark.addEventListener('change', show)
// What was chosen, or what the system said, may have changed since the page's first moment.
show()

export function choose(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(KEY)
  else localStorage.setItem(KEY, theme)
  show()
}

export function useTheme(): Theme {
  return useSyncExternalStore((changed) => {
    watching.add(changed)
    return () => watching.delete(changed)
  }, chosen)
}
