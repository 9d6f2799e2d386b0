import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Problem } from '@/api/client'
import { heedProblem } from '@/features/session/queries'
import { watchAttention } from '@/lib/attention'
import { router } from '@/router'
import '@/styles.css'

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => heedProblem(client, error) }),
  mutationCache: new MutationCache({ onError: (error) => heedProblem(client, error) }),
  defaultOptions: {
    queries: {
      // What somebody else does should show soon; nobody looks at a hidden tab.
      refetchIntervalInBackground: false,
      staleTime: 2_000,
      retry: (count, error) => count < 2 && error instanceof Problem && (error.status === 0 || error.status === 503),
    },
  },
})

watchAttention()

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  )
}
