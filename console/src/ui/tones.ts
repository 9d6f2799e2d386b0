import type { Tone } from '@/ui/parts'

const TONE: Record<string, Tone> = {
  completed: 'ok', confirmed: 'ok', delivered: 'ok', approved: 'ok', proceed: 'ok', active: 'ok', paid: 'ok', met: 'ok', low: 'neutral', granted: 'ok',
  resolved: 'ok', waiting_for_human: 'warn', ask_human: 'warn', pending: 'accent', reserved: 'accent', dispatched: 'accent', running: 'accent',
  claimed: 'accent', open: 'warn', paused: 'neutral', high: 'warn', urgent: 'bad', critical: 'bad', medium: 'warn', refused: 'bad', refuse: 'bad', failed: 'bad',
  rejected: 'bad', dead_letter: 'bad', breached: 'bad', unknown: 'violet', expired: 'neutral', withdrawn: 'neutral', discarded: 'neutral',
  suspended: 'bad', closed: 'neutral', void: 'neutral', shadow: 'violet', approval: 'accent', takeover: 'violet', validation: 'warn', blocked: 'bad',
}

export const toneOf = (code: string | null | undefined): Tone => TONE[code ?? ''] ?? 'neutral'
