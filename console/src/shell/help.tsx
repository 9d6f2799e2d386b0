import { known, type Shortcut } from '@/shell/shortcuts'
import { Dialog } from '@/ui/dialog'
import { Kbd } from '@/ui/parts'

/** The keys that work at this moment, on this page. */
export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  if (!open) return null
  const groups = new Map<string, Shortcut[]>()
  for (const each of known()) {
    const group = each.group ?? 'This page'
    groups.set(group, [...(groups.get(group) ?? []), each])
  }
  return (
    <Dialog title="Keyboard shortcuts" open={open} onClose={onClose} wide>
      <div className="grid gap-x-10 gap-y-6 md:grid-cols-2">
        {[...groups].map(([group, shortcuts]) => (
          <section key={group}>
            <h3 className="mb-2 text-xs font-medium text-ink-3">{group}</h3>
            <dl className="grid gap-1.5">
              {shortcuts.map((each) => (
                <div key={each.keys} className="flex items-center justify-between gap-4">
                  <dt>{each.does}</dt>
                  <dd className="flex shrink-0 items-center gap-1">
                    <span className="sr-only">{each.keys}</span>
                    {each.keys.split(' ').map((key) => (
                      <Kbd key={key} className="max-md:inline-flex">
                        {key === 'Enter' ? '↵' : key}
                      </Kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  )
}
