import { useNow } from '@/lib/now'
import { ago, duration, fullTime } from '@/lib/words'
import { cx, Tip } from '@/ui/parts'

export function Ago({ at, className }: { at: string; className?: string }) {
  const now = useNow()
  return (
    <Tip label={fullTime(at)}>
      <time dateTime={at} className={cx('num whitespace-nowrap', className)}>
        {ago(at, now)}
      </time>
    </Tip>
  )
}

/** Until something is due, or since when it is late. */
export function Due({ at, done, className }: { at: string; done?: boolean; className?: string }) {
  const now = useNow()
  const left = (Date.parse(at) - now) / 1000
  const tone = done ? 'text-ink-3' : left < 0 ? 'font-medium text-bad' : left < 900 ? 'font-medium text-warn' : 'text-ink-2'
  return (
    <Tip label={`Due ${fullTime(at)}`}>
      <time dateTime={at} className={cx('num whitespace-nowrap', tone, className)}>
        {done ? fullTime(at) : left < 0 ? `${duration(left)} late` : duration(left)}
      </time>
    </Tip>
  )
}
