import { type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes, useId } from 'react'
import { cx } from '@/ui/parts'

const BOX =
  'w-full rounded-md border border-line-strong bg-panel px-2.5 text-ink placeholder:text-ink-3 hover:border-ink-3 aria-invalid:border-bad disabled:opacity-60'

function Labelled({ id, label, hint, error, children }: { id: string; label: string; hint?: ReactNode; error?: string | undefined; children: ReactNode }) {
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children}
      {error ? (
        <p id={`${id}-hint`} className="text-xs text-bad">
          {error}
        </p>
      ) : (
        hint && (
          <p id={`${id}-hint`} className="text-xs text-ink-3">
            {hint}
          </p>
        )
      )}
    </div>
  )
}

interface Common {
  label: string
  hint?: ReactNode
  error?: string | undefined
}

export function TextField({ label, hint, error, className, ...rest }: Common & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId()
  return (
    <Labelled id={id} label={label} hint={hint} error={error}>
      <input id={id} aria-invalid={error ? true : undefined} aria-describedby={hint || error ? `${id}-hint` : undefined} {...rest} className={cx(BOX, 'h-9 max-md:h-11', className)} />
    </Labelled>
  )
}

export function TextArea({ label, hint, error, className, ...rest }: Common & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  const id = useId()
  return (
    <Labelled id={id} label={label} hint={hint} error={error}>
      <textarea id={id} rows={3} aria-invalid={error ? true : undefined} aria-describedby={hint || error ? `${id}-hint` : undefined} {...rest} className={cx(BOX, 'py-2', className)} />
    </Labelled>
  )
}

/** One filter above a list: the name is for readers of screens, the value says it all to everybody else. */
export function FilterSelect({ label, value, onPick, options, all }: {
  label: string
  value: string | undefined
  onPick: (value: string | undefined) => void
  options: readonly (readonly [value: string, shown: string])[]
  all: string
}) {
  return (
    <select
      aria-label={label}
      value={value ?? ''}
      onChange={(event) => onPick(event.target.value || undefined)}
      className={cx(
        'h-8 rounded-md border bg-panel pr-7 pl-2 max-md:h-10 max-md:min-w-0 max-md:flex-1 max-md:basis-[40%]',
        value ? 'border-accent-text font-medium text-accent-text' : 'border-line-strong text-ink-2',
      )}
    >
      <option value="">{all}</option>
      {options.map(([each, shown]) => (
        <option key={each} value={each}>
          {shown}
        </option>
      ))}
    </select>
  )
}

export function SearchBox({ label, value, onSearch, className, placeholder }: {
  label: string
  value: string | undefined
  onSearch: (value: string | undefined) => void
  className?: string
  placeholder?: string
}) {
  return (
    <form
      role="search"
      className={className}
      onSubmit={(event) => {
        event.preventDefault()
        const typed = new FormData(event.currentTarget).get('q')
        onSearch(typeof typed === 'string' && typed.trim() ? typed.trim() : undefined)
      }}
    >
      <input
        key={value ?? ''}
        name="q"
        type="search"
        aria-label={label}
        placeholder={placeholder ?? label}
        defaultValue={value ?? ''}
        data-search
        className={cx(BOX, 'h-8 max-md:h-10')}
      />
    </form>
  )
}

export function SelectField({ label, hint, error, children, ...rest }: Common & SelectHTMLAttributes<HTMLSelectElement>) {
  const id = useId()
  return (
    <Labelled id={id} label={label} hint={hint} error={error}>
      <select id={id} {...rest} className={cx(BOX, 'h-9 max-md:h-11')}>
        {children}
      </select>
    </Labelled>
  )
}
