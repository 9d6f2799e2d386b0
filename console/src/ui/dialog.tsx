import { X } from 'lucide-react'
import { type ReactNode, useEffect, useId, useRef } from 'react'
import { cx } from '@/ui/parts'

interface DialogProps {
  title: string
  open: boolean
  onClose: () => void
  children: ReactNode
  footer?: ReactNode
  onSubmit?: () => void
  wide?: boolean
}

/** The browser's own modal dialog: the rest of the page is inert, Escape closes, focus returns to where it was. */
export function Dialog({ title, open, onClose, children, footer, onSubmit, wide }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const named = useId()
  useEffect(() => {
    const element = dialog.current
    if (!element || !open) return
    const before = document.activeElement
    if (!element.open) element.showModal()
    // The browser would choose the first button, which closes it.
    ;(element.querySelector<HTMLElement>('[data-first]') ?? element.querySelector<HTMLElement>('h2'))?.focus()
    return () => {
      element.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [open])
  if (!open) return null
  return (
    <dialog
      ref={dialog}
      aria-labelledby={named}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onMouseDown={(event) => event.target === event.currentTarget && onClose()}
      className={cx(
        'm-auto w-[calc(100%-2rem)] rounded-xl border border-line bg-panel p-0 text-ink shadow-(--shadow) max-md:mb-0 max-md:w-full max-md:max-w-full max-md:rounded-b-none',
        wide ? 'max-w-2xl' : 'max-w-lg',
      )}
    >
      <form
        method="dialog"
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          onSubmit?.()
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit()
        }}
        className="flex max-h-[min(85dvh,48rem)] flex-col"
      >
        <header className="flex items-center justify-between gap-4 px-5 pt-4 pb-3">
          <h2 id={named} tabIndex={-1} className="text-base font-semibold outline-none">
            {title}
          </h2>
          <button
            type="button"
            aria-label="Close"
            onClick={onClose}
            className="-mr-1 rounded-md p-1.5 text-ink-3 hover:bg-hover hover:text-ink"
          >
            <X size={16} />
          </button>
        </header>
        <div className="min-h-0 overflow-y-auto px-5 pb-5">{children}</div>
        {footer && (
          <footer className="flex flex-wrap items-center justify-end gap-2 border-t border-line bg-sunken px-5 py-3 max-md:flex-col-reverse max-md:items-stretch">
            {footer}
          </footer>
        )}
      </form>
    </dialog>
  )
}
