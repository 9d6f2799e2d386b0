import { useNow } from '@/lib/now'
import { ago, duration, fullTime } from '@/lib/words'
import { cx } from '@/ui/parts'

export function Ago({ at, className }: { at: string; className?: string }) {
  const now = useNow()
  return (
    <time dateTime={at} title={fullTime(at)} className={cx('num whitespace-nowrap', className)}>
      {ago(at, now)}
    </time>
  )
}

/** Until something is due, or since when it is late. */
export function Due({ at, className }: { at: string; className?: string }) {
  const now = useNow()
  const left = (Date.parse(at) - now) / 1000
  const tone = left < 0 ? 'font-medium text-bad' : left < 900 ? 'font-medium text-warn' : 'text-ink-2'
  return (
    <time dateTime={at} title={`Due ${fullTime(at)}`} className={cx('num whitespace-nowrap', tone, className)}>
      {left < 0 ? `${duration(left)} late` : duration(left)}
    </time>
  )
}
