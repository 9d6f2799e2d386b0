import { CircleAlert } from 'lucide-react'
import { Problem } from '@/api/client'
import { advice } from '@/lib/advice'
import { words } from '@/lib/words'
import { Button, cx } from '@/ui/parts'

export const asProblem = (error: unknown): Problem =>
  error instanceof Problem ? error : new Problem(0, 'unexpected', error instanceof Error ? error.message : String(error))

/** What went wrong, what it is called, and what to do. */
export function ProblemCard({ error, retry, className }: { error: unknown; retry?: () => void; className?: string }) {
  const problem = asProblem(error)
  const { title, what } = advice(problem)
  return (
    <div role="alert" className={cx('flex gap-3 rounded-lg border border-bad/40 bg-bad-soft p-3', className)}>
      <CircleAlert size={16} className="mt-0.5 shrink-0 text-bad" />
      <div className="min-w-0 flex-1">
        <p className="font-semibold text-ink">{title}</p>
        <p className="text-ink-2">{what}</p>
        {problem.errors.length > 0 && (
          <ul className="mt-1 list-disc pl-4 text-ink-2">
            {problem.errors.map((each) => (
              <li key={`${each.field}${each.code}`}>
                <span className="font-medium">{words(each.field)}</span>: {each.message}
              </li>
            ))}
          </ul>
        )}
        <p className="mt-1 text-xs text-ink-3">
          <code className="font-mono">{problem.code}</code>
          {problem.status > 0 && ` · ${problem.status}`}
        </p>
      </div>
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  )
}
