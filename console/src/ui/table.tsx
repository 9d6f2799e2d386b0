import { type ColumnDef, tableFeatures, useTable } from '@tanstack/react-table'
import { useRouter } from '@tanstack/react-router'
import { useState } from 'react'
import { useShortcuts } from '@/shell/shortcuts'
import { cx } from '@/ui/parts'

const features = tableFeatures({})

export type Columns<T extends object> = ColumnDef<typeof features, T>[]

interface Props<T extends object> {
  label: string
  rows: readonly T[]
  columns: Columns<T>
  keyOf: (row: T) => string
  /** Where a row leads: a path of the console. */
  to?: (row: T) => string
  /** Columns a telephone has no room for. */
  wide?: readonly string[]
  numeric?: readonly string[]
}

/** A list to walk with `j`, `k` and Enter. The link is in the first cell: the row as a whole only follows it. */
export function DataTable<T extends object>({ label, rows, columns, keyOf, to, wide = [], numeric = [] }: Props<T>) {
  const table = useTable({ features, columns, data: rows as T[], getRowId: keyOf })
  const router = useRouter()
  const [at, setAt] = useState(-1)
  const open = (row: T | undefined) => row && to && void router.navigate({ to: to(row) as '/' })
  const step = (by: number) => {
    const next = Math.min(Math.max(at + by, 0), rows.length - 1)
    setAt(next)
    document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' })
  }
  useShortcuts(
    to
      ? [
          { keys: 'j', does: 'Next row', run: () => step(1), group: 'Lists' },
          { keys: 'k', does: 'Previous row', run: () => step(-1), group: 'Lists' },
          { keys: 'Enter', does: 'Open the row', run: () => open(rows[at]), group: 'Lists' },
        ]
      : [],
  )
  const narrow = (id: string) => cx(wide.includes(id) && 'max-md:hidden', numeric.includes(id) && 'text-right')
  return (
    <div className="overflow-x-auto" role="region" aria-label={label} tabIndex={-1}>
      <table className="w-full border-collapse text-left">
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map((header) => (
                <th key={header.id} scope="col" className={cx('h-9 border-b border-line px-3 text-xs font-medium whitespace-nowrap text-ink-3 first:pl-4 last:pr-4', narrow(header.column.id))}>
                  <table.FlexRender header={header} />
                </th>
              ))}
            </tr>
          ))}
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row, index) => (
            <tr
              key={row.id}
              data-row={index}
              aria-current={index === at || undefined}
              onClick={(event) => {
                const target = event.target as HTMLElement
                if (!target.closest('a,button,input') && !window.getSelection()?.toString()) open(row.original)
              }}
              className={cx(
                'border-b border-line last:border-0',
                to && 'cursor-pointer hover:bg-hover',
                index === at && 'bg-accent-soft shadow-[inset_2px_0_0_var(--accent-text)]',
              )}
            >
              {row.getAllCells().map((cell) => (
                <td key={cell.id} className={cx('h-11 max-w-96 px-3 py-1.5 first:pl-4 last:pr-4', narrow(cell.column.id))}>
                  <table.FlexRender cell={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
