import { ChevronsUpDown } from 'lucide-react'
import { type ButtonHTMLAttributes, lazy, type Ref, Suspense, useState } from 'react'
import { useMe } from '@/features/session/queries'

const load = () => import('@/shell/account-menu')
const Menu = lazy(load)

/** Who one is, and for which organisation. */
export function Account() {
  const { who } = useMe()
  const [opened, setOpened] = useState(false)
  const name = who.kind === 'local' ? 'This machine' : who.kind === 'session' ? `Operator …${who.name.slice(-5)}` : who.name
  const trigger = (
    <Trigger organisation={who.organisation} name={name} onPointerEnter={() => void load()} onFocus={() => void load()} onClick={() => setOpened(true)} />
  )
  if (!opened) return trigger
  return (
    <Suspense fallback={trigger}>
      <Menu name={name}>
        <Trigger organisation={who.organisation} name={name} />
      </Menu>
    </Suspense>
  )
}

function Trigger({ organisation, name, ...rest }: { organisation: string; name: string; ref?: Ref<HTMLButtonElement> } & ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button
      type="button"
      aria-haspopup="menu"
      {...rest}
      className="flex w-full items-center gap-2.5 rounded-md p-1.5 text-left hover:bg-hover md:px-2"
    >
      <span className="sr-only">Account: </span>
      <span aria-hidden="true" className="grid size-7 shrink-0 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent-text uppercase">
        {organisation.slice(0, 2)}
      </span>
      <span className="min-w-0 flex-1 leading-4 max-md:hidden">
        <span className="block truncate font-medium">{organisation}</span>
        <span className="block truncate text-xs text-ink-3">{name}</span>
      </span>
      <ChevronsUpDown size={14} className="shrink-0 text-ink-3 max-md:hidden" />
    </button>
  )
}
