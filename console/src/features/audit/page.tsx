import { infiniteQueryOptions, useInfiniteQuery, useMutation } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Download, ScrollText, ShieldAlert, ShieldCheck } from 'lucide-react'
import { address, read } from '@/api/client'
import type { AuditEntry, ListAuditData, ListAuditResponses, Verdict, VerifyAuditData, VerifyAuditResponses } from '@/api/generated'
import { useNameOf } from '@/features/session/queries'
import { fullTime, moment, words } from '@/lib/words'
import { Page } from '@/shell/page'
import { Id } from '@/ui/copy'
import { SearchBox } from '@/ui/fields'
import { Raw } from '@/ui/json'
import { List } from '@/ui/list'
import { Button, cx, Empty } from '@/ui/parts'
import { ProblemCard } from '@/ui/problem'
import type { Columns } from '@/ui/table'

type AuditFilters = Partial<Record<'actor' | 'action' | 'subject' | 'customerId' | 'interactionId' | 'from' | 'to', string>>

const auditQuery = (filters: AuditFilters) =>
  infiniteQueryOptions({
    queryKey: ['audit', filters],
    queryFn: ({ pageParam, signal }) =>
      read<ListAuditData, ListAuditResponses>('/audit', { query: { ...filters, limit: 50, cursor: pageParam } as NonNullable<ListAuditData['query']> }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor ?? null,
    refetchInterval: 10_000,
  })

function Actor({ of }: { of: string }) {
  const nameOf = useNameOf()
  return <span title={of}>{nameOf(of)}</span>
}

function When({ at }: { at: string }) {
  return (
    <time dateTime={at} title={fullTime(at)} className="num whitespace-nowrap text-ink-2">
      <span className="max-md:hidden">{fullTime(at)}</span>
      <span className="md:hidden">{moment(at)}</span>
    </time>
  )
}

const COLUMNS: Columns<AuditEntry> = [
  { id: 'action', header: 'What', cell: ({ row }) => <span className="font-medium whitespace-nowrap">{words(row.original.action)}</span> },
  { id: 'actor', header: 'Who', cell: ({ row }) => <Actor of={row.original.actor} /> },
  { id: 'subject', header: 'About', cell: ({ row }) => <Id id={row.original.subject} /> },
  {
    id: 'details',
    header: 'Details',
    cell: ({ row: { original: each } }) =>
      Object.keys(each.details).length === 0 ? null : (
        <details>
          <summary className="w-fit cursor-pointer rounded text-ink-2 hover:text-ink">{Object.keys(each.details).map(words).join(', ')}</summary>
          <div className="mt-2 min-w-72">
            <Raw of={each.details} />
          </div>
        </details>
      ),
  },
  { id: 'sequence', header: 'Place', cell: ({ row }) => <span className={cx('num', !row.original.sequence && 'text-ink-3')}>{row.original.sequence ?? 'not sealed yet'}</span> },
  { id: 'at', header: 'When', cell: ({ row }) => <When at={row.original.at} /> },
]

export function AuditPage() {
  const filters: AuditFilters = useSearch({ from: '/audit' })
  const navigate = useNavigate()
  const found = useInfiniteQuery(auditQuery(filters))
  const check = useMutation({ mutationFn: () => read<VerifyAuditData, VerifyAuditResponses>('/audit/verify', {}) })
  const change = (more: AuditFilters) => void navigate({ to: '/audit', search: { ...filters, ...more } as never })
  const box = (name: keyof AuditFilters, label: string, placeholder = label) => (
    <SearchBox label={label} placeholder={placeholder} value={filters[name]} onSearch={(value) => change({ [name]: value } as AuditFilters)} className={cx('max-md:w-[calc(50%-0.25rem)]', name === 'action' ? 'w-60' : 'w-44')} />
  )
  return (
    <Page
      title="Audit"
      aside={
        <>
          <Export kind="csv" filters={filters} />
          <Export kind="json" filters={filters} />
          <Button look="primary" busy={check.isPending} onClick={() => check.mutate()}>
            <ShieldCheck size={14} /> {check.isPending ? 'Checking…' : 'Verify the chain'}
          </Button>
        </>
      }
      filters={
        <>
          {box('action', 'Action', 'Action, as handoff.approved')}
          {box('actor', 'Who')}
          {box('subject', 'About, an id')}
          {box('customerId', 'Customer id')}
          {Object.keys(filters).length > 0 && (
            <Button look="quiet" onClick={() => void navigate({ to: '/audit', search: {} })}>
              Clear
            </Button>
          )}
        </>
      }
    >
      {check.isError && <ProblemCard className="mb-3" error={check.error} retry={() => check.mutate()} />}
      {check.data && <Found verdict={check.data} />}
      <List
        found={found}
        label="Audit events"
        columns={COLUMNS}
        keyOf={(each) => each.id}
        wide={['details', 'sequence', 'subject']}
        numeric={['sequence', 'at']}
        empty={
          <Empty icon={<ScrollText size={20} />} title={Object.keys(filters).length > 0 ? 'No event fits these filters' : 'Nothing is on record yet'}>
            Every act with a consequence is written here in the same transaction, sealed into a chain within a minute, and never changed.
          </Empty>
        }
      />
    </Page>
  )
}

function Export({ kind, filters }: { kind: 'csv' | 'json'; filters: AuditFilters }) {
  return (
    <a href={address(`/audit/export.${kind}`, { query: filters })} download className="inline-flex h-8 items-center gap-1.5 rounded-md border border-line-strong bg-panel px-3 font-medium hover:bg-hover">
      <Download size={14} /> {kind.toUpperCase()}
    </a>
  )
}

/** What the check found, in words, with what it could not look at. */
function Found({ verdict }: { verdict: Verdict }) {
  const Icon = verdict.ok ? ShieldCheck : ShieldAlert
  return (
    <section role="status" className={cx('mb-3 flex gap-3 rounded-lg border p-4', verdict.ok ? 'border-ok/40 bg-ok-soft' : 'border-bad/40 bg-bad-soft')}>
      <Icon size={20} className={cx('shrink-0', verdict.ok ? 'text-ok' : 'text-bad')} />
      <div className="min-w-0">
        <p className="font-semibold">{verdict.ok ? 'Nothing was changed, removed or inserted' : 'Something is not as it was sealed'}</p>
        <p className="num text-ink-2">
          {verdict.count.toLocaleString()} events, places {verdict.checkedFrom} to {verdict.checkedTo}, checked in {verdict.seconds.toFixed(1)} s.{' '}
          {verdict.pending > 0 && `${verdict.pending} newer ones wait for their place. `}
          {verdict.outsideProof
            ? `${verdict.checkpoints ?? 0} signed checkpoints outside the database vouch for it up to place ${verdict.confirmedTo ?? 0}.`
            : 'No signed checkpoint outside the database was compared: a chain rewritten as a whole would look sound.'}
        </p>
        {(verdict.findings ?? []).length > 0 && (
          <div className="mt-2">
            <Raw of={verdict.findings} />
          </div>
        )}
        <p className="mt-1 truncate font-mono text-xs text-ink-2">{verdict.head}</p>
      </div>
    </section>
  )
}
