import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet } from '@tanstack/react-router'
import { Gate } from '@/features/session/gate'
import { Shell } from '@/shell/shell'
import { Empty } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'

// Filters are in the address: a list can be sent to somebody, and Back brings it back.

type Filters<Name extends string> = Partial<Record<Name, string>>

function filters<Name extends string>(...names: Name[]) {
  return (given: Record<string, unknown>): Filters<Name> => {
    const kept: Filters<Name> = {}
    for (const name of names) {
      const value = given[name]
      if (typeof value === 'string' && value !== '') kept[name] = value
    }
    return kept
  }
}

const root = createRootRoute({
  component: () => (
    <Gate>
      <Shell />
    </Gate>
  ),
  notFoundComponent: () => <Empty title="There is no such page">The address may be misspelt. Everything there is stands in the navigation.</Empty>,
  errorComponent: ({ error, reset }) => (
    <div className="p-6">
      <ProblemCard error={error} retry={reset} />
    </div>
  ),
})

const overview = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: lazyRouteComponent(() => import('@/features/overview/page'), 'Overview'),
})

export const inbox = createRoute({
  getParentRoute: () => root,
  path: '/inbox',
  validateSearch: filters('status', 'kind', 'priority', 'breached', 'mine'),
  component: lazyRouteComponent(() => import('@/features/handoffs/page'), 'InboxPage'),
})
const inboxEmpty = createRoute({
  getParentRoute: () => inbox,
  path: '/',
  component: lazyRouteComponent(() => import('@/features/handoffs/page'), 'NothingOpen'),
})
export const handoff = createRoute({
  getParentRoute: () => inbox,
  path: '/$handoffId',
  component: lazyRouteComponent(() => import('@/features/handoffs/detail'), 'HandoffPage'),
})

const interactionsArea = createRoute({ getParentRoute: () => root, path: '/interactions', component: Outlet })
export const interactions = createRoute({
  getParentRoute: () => interactionsArea,
  path: '/',
  validateSearch: filters('status', 'intent', 'mode', 'customerId', 'conversationId'),
  component: lazyRouteComponent(() => import('@/features/interactions/list'), 'InteractionsPage'),
})
export const interaction = createRoute({
  getParentRoute: () => interactionsArea,
  path: '/$interactionId',
  component: lazyRouteComponent(() => import('@/features/interactions/detail'), 'InteractionPage'),
})

const customersArea = createRoute({ getParentRoute: () => root, path: '/customers', component: Outlet })
const customers = createRoute({
  getParentRoute: () => customersArea,
  path: '/',
  component: lazyRouteComponent(() => import('@/features/customers/find'), 'CustomersPage'),
})
export const customer = createRoute({
  getParentRoute: () => customersArea,
  path: '/$customerId',
  component: lazyRouteComponent(() => import('@/features/customers/detail'), 'CustomerPage'),
})

const deliveriesArea = createRoute({ getParentRoute: () => root, path: '/deliveries', component: Outlet })
export const deliveries = createRoute({
  getParentRoute: () => deliveriesArea,
  path: '/',
  validateSearch: filters('status', 'channel', 'reason', 'customerId', 'interactionId'),
  component: lazyRouteComponent(() => import('@/features/deliveries/list'), 'DeliveriesPage'),
})
export const delivery = createRoute({
  getParentRoute: () => deliveriesArea,
  path: '/$deliveryId',
  component: lazyRouteComponent(() => import('@/features/deliveries/detail'), 'DeliveryPage'),
})

export const audit = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: filters('actor', 'action', 'subject', 'customerId', 'interactionId', 'from', 'to'),
  component: lazyRouteComponent(() => import('@/features/audit/page'), 'AuditPage'),
})

export const router = createRouter({
  basepath: '/console',
  defaultPreload: 'intent',
  // Plain words in the address, as a person would type them.
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const kept = Object.entries(search).filter((each): each is [string, string] => typeof each[1] === 'string')
    return kept.length > 0 ? `?${new URLSearchParams(kept)}` : ''
  },
  routeTree: root.addChildren([
    overview,
    inbox.addChildren([inboxEmpty, handoff]),
    interactionsArea.addChildren([interactions, interaction]),
    customersArea.addChildren([customers, customer]),
    deliveriesArea.addChildren([deliveries, delivery]),
    audit,
  ]),
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
