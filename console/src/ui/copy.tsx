import { Check, Copy } from 'lucide-react'
import { useState } from 'react'
import { shortId } from '@/lib/words'

/** An id to recognise, and to take along. */
export function Id({ id }: { id: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <button
      type="button"
      title={id}
      onClick={() => {
        void navigator.clipboard.writeText(id).then(() => {
          setCopied(true)
          setTimeout(() => setCopied(false), 1500)
        })
      }}
      className="group inline-flex max-w-full items-center gap-1 rounded font-mono text-xs text-ink-2 hover:text-ink"
    >
      <span className="sr-only">Copy </span>
      <span className="truncate">{shortId(id)}</span>
      {copied ? <Check size={12} className="text-ok" /> : <Copy size={12} className="-ml-1 w-0 group-hover:ml-0 group-hover:w-3 group-focus-visible:ml-0 group-focus-visible:w-3" />}
    </button>
  )
}
