import { Check, LogOut, Monitor, Moon, Sun } from 'lucide-react'
import { DropdownMenu } from 'radix-ui'
import type { ReactNode } from 'react'
import { signOut, useMe } from '@/features/session/queries'
import { choose, type Theme, useTheme } from '@/shell/theme'
import { sayProblem } from '@/ui/toasts'

const THEMES: readonly (readonly [Theme, string, typeof Sun])[] = [
  ['system', 'As the system', Monitor],
  ['light', 'Light', Sun],
  ['dark', 'Dark', Moon],
]

const ITEM = 'flex h-8 cursor-pointer items-center gap-2.5 rounded-md px-2 outline-none data-[highlighted]:bg-hover max-md:h-10'

/** How it looks, and the way out. Comes when it is first opened: nobody waits for it before. */
export default function AccountMenu({ name, children }: { name: string; children: ReactNode }) {
  const { who } = useMe()
  const theme = useTheme()
  const leave = () => void signOut(who).catch(sayProblem)
  return (
    <DropdownMenu.Root modal={false} defaultOpen>
      <DropdownMenu.Trigger asChild>{children}</DropdownMenu.Trigger>
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
          <DropdownMenu.Item onSelect={leave} className={ITEM}>
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
