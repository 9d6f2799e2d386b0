import { focusManager } from '@tanstack/react-query'

// A page that asks again every few seconds would keep a session alive for as long as the tab is open. Whoever does
// nothing for a while is taken to be away: nothing is asked until they move, and the session may end meanwhile.
const AWAY_AFTER_MS = 10 * 60_000
const LOOK_EVERY_MS = 30_000
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const

let last = Date.now()
let away = false

/** Nobody has touched this page for ten minutes. */
export const isAway = (): boolean => away

export function watchAttention(): void {
  const seen = () => {
    last = Date.now()
    if (!away) return
    away = false
    focusManager.setFocused(undefined)
  }
  for (const sign of SIGNS) window.addEventListener(sign, seen, { capture: true, passive: true })
  setInterval(() => {
    if (away || Date.now() - last <= AWAY_AFTER_MS) return
    away = true
    focusManager.setFocused(false)
  }, LOOK_EVERY_MS)
}
