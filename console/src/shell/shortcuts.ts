import { useEffect, useRef } from 'react'

export interface Shortcut {
  /** One key, or two after each other: `g i`. */
  keys: string
  does: string
  run: () => void
  group?: string
}

// What was registered last counts: a page is above the shell, a list above its page.
const layers = new Set<{ current: readonly Shortcut[] }>()
const SEQUENCE_MS = 900
let begun = ''
let begunAt = 0

export function known(): Shortcut[] {
  const found = new Map<string, Shortcut>()
  for (const layer of layers) for (const each of layer.current) found.set(each.keys, each)
  return [...found.values()]
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

function heard(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return
  if (isTyping(event.target) || document.querySelector('dialog[open],[role=menu]')) return
  // Enter on something that has a meaning of its own is that.
  if (event.key === 'Enter' && event.target instanceof HTMLElement && event.target.closest('a,button,summary')) return
  const now = Date.now()
  const keys = begun && now - begunAt < SEQUENCE_MS ? `${begun} ${event.key}` : event.key
  begun = ''
  const all = known()
  const found = all.find((each) => each.keys === keys)
  if (found) {
    event.preventDefault()
    found.run()
  } else if (all.some((each) => each.keys.startsWith(`${event.key} `))) {
    begun = event.key
    begunAt = now
  }
}

export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const layer = useRef(shortcuts)
  useEffect(() => {
    layer.current = shortcuts
  })
  useEffect(() => {
    layers.add(layer)
    return () => {
      layers.delete(layer)
    }
  }, [])
}

export function listen(): () => void {
  window.addEventListener('keydown', heard)
  return () => window.removeEventListener('keydown', heard)
}
