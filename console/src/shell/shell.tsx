import { useIsFetching, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useRouter } from '@tanstack/react-router'
import { Inbox, LayoutDashboard, MessagesSquare, type LucideIcon, ScrollText, Send, Users } from 'lucide-react'
import { type ReactNode, useEffect, useState } from 'react'
import { type Scope, useMe } from '@/features/session/queries'
import { Logo } from '@/features/session/sign-in'
import { useBacklog } from '@/features/overview/queries'
import { Account } from '@/shell/account'
import { Help } from '@/shell/help'
import { listen, useShortcuts } from '@/shell/shortcuts'
import { Empty, Kbd, cx } from '@/ui/parts'
import { Toasts } from '@/ui/toasts'

interface Place {
  to: string
  name: string
  icon: LucideIcon
  keys: string
  scopes: Scope[]
  count?: 'handoffs' | 'deadLetters'
}

const PLACES: readonly Place[] = [
  { to: '/', name: 'Overview', icon: LayoutDashboard, keys: 'g o', scopes: ['operator', 'auditor'] },
  { to: '/inbox', name: 'Inbox', icon: Inbox, keys: 'g i', scopes: ['operator', 'auditor'], count: 'handoffs' },
  { to: '/interactions', name: 'Interactions', icon: MessagesSquare, keys: 'g t', scopes: ['operator', 'auditor'] },
  { to: '/customers', name: 'Customers', icon: Users, keys: 'g c', scopes: ['operator', 'auditor', 'builder'] },
  { to: '/deliveries', name: 'Deliveries', icon: Send, keys: 'g d', scopes: ['operator', 'auditor'], count: 'deadLetters' },
  { to: '/audit', name: 'Audit', icon: ScrollText, keys: 'g a', scopes: ['auditor'] },
]

/** What is around every page: where one can go, who one is, and the keys. */
export function Shell() {
  const { can } = useMe()
  const places = PLACES.filter((place) => can(...place.scopes))
  const router = useRouter()
  const client = useQueryClient()
  const [helps, setHelps] = useState(false)
  useEffect(listen, [])
  useShortcuts([
    { keys: '?', does: 'Show these keys', run: () => setHelps(true), group: 'Everywhere' },
    { keys: '/', does: 'Search or filter', run: () => document.querySelector<HTMLInputElement>('[data-search]')?.focus(), group: 'Everywhere' },
    { keys: 'R', does: 'Load again', run: () => void client.invalidateQueries(), group: 'Everywhere' },
    ...places.map((place) => ({
      keys: place.keys,
      does: place.name,
      run: () => void router.navigate({ to: place.to as '/' }),
      group: 'Go to',
    })),
  ])
  return (
    <>
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded focus:bg-panel focus:px-3 focus:py-2">
        Skip to the page
      </a>
      <div className="flex h-full max-md:flex-col">
        <Sidebar places={places} onHelp={() => setHelps(true)} />
        <main id="main" tabIndex={-1} className="min-h-0 min-w-0 flex-1 overflow-y-auto outline-none max-md:pb-16">
          {places.length === 0 ? (
            <Empty title="There is nothing here for you yet">Your account may not read anything in the console. An admin can give you the scope “operator” or “auditor”.</Empty>
          ) : (
            <Outlet />
          )}
        </main>
        <TabBar places={places} />
      </div>
      <Working />
      <Help open={helps} onClose={() => setHelps(false)} />
      <Toasts />
    </>
  )
}

function Sidebar({ places, onHelp }: { places: readonly Place[]; onHelp: () => void }) {
  return (
    <div className="flex shrink-0 flex-col border-line bg-sunken max-md:flex-row max-md:items-center max-md:justify-between max-md:border-b max-md:px-4 max-md:py-2 md:w-56 md:border-r">
      <Link to="/" className="flex items-center gap-2.5 rounded-md md:px-4 md:pt-4 md:pb-5">
        <Logo />
        <span className="text-[0.9375rem] font-semibold tracking-tight">Holdfast</span>
      </Link>
      <nav aria-label="Console" className="grid gap-0.5 px-2 max-md:hidden">
        {places.map((place) => (
          <Link
            key={place.to}
            to={place.to as '/'}
            activeOptions={{ exact: place.to === '/', includeSearch: false }}
            className="group flex h-8 items-center gap-2.5 rounded-md px-2 font-medium text-ink-2 hover:bg-hover hover:text-ink aria-[current=page]:bg-line aria-[current=page]:text-ink"
          >
            <place.icon size={16} className="shrink-0 text-ink-3 group-aria-[current=page]:text-accent-text" />
            {place.name}
            <Waiting of={place.count} />
          </Link>
        ))}
      </nav>
      <div className="md:mt-auto md:p-2">
        <button type="button" onClick={onHelp} className="flex h-8 w-full items-center gap-2 rounded-md px-2 text-ink-3 hover:bg-hover hover:text-ink max-md:hidden">
          Keyboard shortcuts <Kbd className="ml-auto">?</Kbd>
        </button>
        <Account />
      </div>
    </div>
  )
}

function TabBar({ places }: { places: readonly Place[] }) {
  return (
    <nav aria-label="Console" className="fixed inset-x-0 bottom-0 z-30 flex border-t border-line bg-panel pb-[env(safe-area-inset-bottom)] md:hidden">
      {places.map((place) => (
        <Link
          key={place.to}
          to={place.to as '/'}
          activeOptions={{ exact: place.to === '/', includeSearch: false }}
          className="focus-inset relative flex min-w-0 flex-1 flex-col items-center gap-0.5 px-0.5 py-2 text-[0.625rem] leading-4 font-medium text-ink-3 aria-[current=page]:text-accent-text"
        >
          <place.icon size={19} />
          <span className="max-w-full truncate">{place.name}</span>
          <span className="absolute top-1 left-1/2 ml-1.5">
            <Waiting of={place.count} small />
          </span>
        </Link>
      ))}
    </nav>
  )
}

function Waiting({ of, small }: { of: Place['count']; small?: boolean }): ReactNode {
  const backlog = useBacklog()
  const count = of && backlog ? backlog[of] : 0
  if (!count) return null
  const urgent = of === 'deadLetters' || (backlog && backlog.overdue > 0)
  return (
    <span
      aria-label={`${count} waiting`}
      role="img"
      className={cx(
        'num inline-flex items-center justify-center rounded-full font-semibold',
        small ? 'h-3.5 min-w-3.5 px-1 text-[0.5625rem]' : 'ml-auto h-4.5 min-w-4.5 px-1.5 text-[0.6875rem]',
        urgent ? 'bg-bad-soft text-bad' : 'bg-accent-soft text-accent-text',
      )}
    >
      {count}
    </span>
  )
}

/** A thin line at the top once an answer takes a moment. */
function Working() {
  const busy = useIsFetching({ predicate: (query) => query.state.status === 'pending' }) > 0
  return <div aria-hidden="true" className={cx('fixed inset-x-0 top-0 z-50 h-0.5 bg-accent transition-opacity delay-200', busy ? 'animate-pulse opacity-100' : 'opacity-0')} />
}
