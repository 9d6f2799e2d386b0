import type { Point } from '@/api/generated'
import { clockTime } from '@/lib/words'

const HEIGHT = 132

/** One bar per hour; the part for which a person was asked stands on its foot. */
export function Hours({ series }: { series: Record<string, Point[]> }) {
  const received = series.received ?? []
  const escalated = series.escalated ?? []
  const most = Math.max(4, ...received.map((each) => each.count))
  const total = received.reduce((n, each) => n + each.count, 0)
  const asked = escalated.reduce((n, each) => n + each.count, 0)
  const width = 100 / Math.max(1, received.length)
  return (
    <figure>
      <svg viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" className="h-36 w-full" role="img" aria-label={`${total} interactions in ${received.length} hours, ${asked} needed a person`}>
        {[0.25, 0.5, 0.75, 1].map((part) => (
          <line key={part} x1="0" x2="100" y1={HEIGHT * (1 - part) + 0.5} y2={HEIGHT * (1 - part) + 0.5} className="stroke-line" strokeWidth="1" vectorEffect="non-scaling-stroke" />
        ))}
        <line x1="0" x2="100" y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} className="stroke-line-strong" strokeWidth="1" vectorEffect="non-scaling-stroke" />
        {received.map((each, index) => {
          const person = Math.min(each.count, escalated[index]?.count ?? 0)
          const all = (each.count / most) * (HEIGHT - 6)
          const foot = (person / most) * (HEIGHT - 6)
          return (
            <g key={each.at}>
              <title>{`${clockTime(each.at)}: ${each.count} received, ${person} needed a person`}</title>
              <rect x={index * width} width={width} y="0" height={HEIGHT} className="fill-transparent" />
              <rect x={index * width + width * 0.18} width={width * 0.64} y={HEIGHT - all} height={Math.max(0, all - foot)} className="fill-accent" />
              <rect x={index * width + width * 0.18} width={width * 0.64} y={HEIGHT - foot} height={foot} className="fill-chart-warn" />
            </g>
          )
        })}
      </svg>
      <figcaption className="num mt-1.5 flex justify-between text-xs text-ink-3">
        <span>{received[0] ? clockTime(received[0].at) : ''}</span>
        <span>{`${total} received, highest hour ${Math.max(0, ...received.map((each) => each.count))}`}</span>
        <span>now</span>
      </figcaption>
    </figure>
  )
}
