import { money, moneyIn, words } from '@/lib/words'

/** Arguments and results as names and values, exactly: money in its currency, with the number that is really sent. */
export function Values({ of }: { of: Record<string, unknown> }) {
  const entries = Object.entries(of)
  if (entries.length === 0) return <p className="text-ink-3">None</p>
  const sum = moneyIn(of)
  return (
    <dl className="grid grid-cols-[minmax(6rem,auto)_1fr] gap-x-4 gap-y-1">
      {entries.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-ink-3">{words(name)}</dt>
          <dd className="min-w-0 break-words">
            {name === 'amount' && sum ? (
              <>
                <span className="num font-semibold">{money(sum)}</span>{' '}
                <span className="text-xs text-ink-3">({sum.amount} minor units)</span>
              </>
            ) : (
              <span className="font-mono text-xs">{typeof value === 'string' ? value : JSON.stringify(value)}</span>
            )}
          </dd>
        </div>
      ))}
    </dl>
  )
}

export function Raw({ of }: { of: unknown }) {
  return (
    <pre className="max-h-80 overflow-auto rounded-md bg-sunken p-3 font-mono text-xs leading-5 whitespace-pre-wrap text-ink-2" tabIndex={0}>
      {typeof of === 'string' ? of : JSON.stringify(of, null, 2)}
    </pre>
  )
}
