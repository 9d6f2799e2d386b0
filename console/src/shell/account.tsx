import { useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { Check, ChevronsUpDown, LogOut, Monitor, Moon, Sun } from 'lucide-react'
import { DropdownMenu } from 'radix-ui'
import type { ReactNode } from 'react'
import { signOut, useMe, useNameOf } from '@/features/session/queries'
import { choose, type Theme, useTheme } from '@/shell/theme'
import { cx } from '@/ui/parts'
import { sayProblem } from '@/ui/toasts'

const THEMES: readonly (readonly [Theme, string, typeof Sun])[] = [
  ['system', 'As the system', Monitor],
  ['light', 'Light', Sun],
  ['dark', 'Dark', Moon],
]

const ITEM = 'flex h-8 cursor-pointer items-center gap-2.5 rounded-md px-2 outline-none data-[highlighted]:bg-hover max-md:h-10'

/** Who one is, for which organisation, how it looks, and the way out. */
export function Account() {
  const { who } = useMe()
  const nameOf = useNameOf()
  const client = useQueryClient()
  const router = useRouter()
  const theme = useTheme()
  const name = nameOf(who.name) === 'You' ? (who.kind === 'local' ? 'This machine' : `Operator …${who.name.slice(-5)}`) : who.name
  const leave = () => void signOut(client, who).then(() => router.navigate({ to: '/' }), sayProblem)
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="flex w-full items-center gap-2.5 rounded-md p-1.5 text-left hover:bg-hover md:px-2" aria-label="Account">
        <span aria-hidden="true" className="grid size-7 shrink-0 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent-text uppercase">
          {who.organisation.slice(0, 2)}
        </span>
        <span className="min-w-0 flex-1 leading-4 max-md:hidden">
          <span className="block truncate font-medium">{who.organisation}</span>
          <span className="block truncate text-xs text-ink-3">{name}</span>
        </span>
        <ChevronsUpDown size={14} className="shrink-0 text-ink-3 max-md:hidden" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content align="start" sideOffset={6} collisionPadding={8} className="z-40 w-60 rounded-lg border border-line bg-panel p-1.5 shadow-(--shadow)">
          <div className="px-2 pt-1 pb-2">
            <p className="font-medium">{name}</p>
            <p className="text-xs text-ink-3">
              {who.organisation} · {who.scopes.join(', ')}
            </p>
          </div>
          <Line />
          <DropdownMenu.RadioGroup value={theme} onValueChange={(value) => choose(value as Theme)}>
            {THEMES.map(([value, label, Icon]) => (
              <DropdownMenu.RadioItem key={value} value={value} onSelect={(event) => event.preventDefault()} className={ITEM}>
                <Icon size={15} className="text-ink-3" />
                {label}
                <DropdownMenu.ItemIndicator className="ml-auto">
                  <Check size={14} />
                </DropdownMenu.ItemIndicator>
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          <Line />
          <DropdownMenu.Item onSelect={leave} className={cx(ITEM)}>
            <LogOut size={15} className="text-ink-3" />
            Sign out
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  )
}

function Line(): ReactNode {
  return <DropdownMenu.Separator className="my-1.5 h-px bg-line" />
}
