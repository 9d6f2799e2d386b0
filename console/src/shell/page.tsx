import type { ReactNode } from 'react'
import { useEffect } from 'react'
import { cx } from '@/ui/parts'

/** A page with its title, also in the tab. */
export function Page({ title, aside, filters, children, narrow }: { title: string; aside?: ReactNode; filters?: ReactNode; children: ReactNode; narrow?: boolean }) {
  useTitle(title)
  return (
    <div className={cx('mx-auto px-6 py-5 max-md:px-4', narrow ? 'max-w-4xl' : 'max-w-[88rem]')}>
      <header className="mb-4 flex min-h-8 flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <h1 className="text-lg font-semibold tracking-tight">{title}</h1>
        {aside && <div className="flex flex-wrap items-center gap-2">{aside}</div>}
      </header>
      {filters && <div className="mb-3 flex flex-wrap items-center gap-2">{filters}</div>}
      {children}
    </div>
  )
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Holdfast`
  }, [title])
}
