import type { Problem } from '@/api/client'
import { ago, words } from '@/lib/words'

interface Advice {
  title: string
  what: string
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The messages, or the codes, of a list of reasons. */
function said(list: unknown): string {
  if (!Array.isArray(list)) return ''
  return list.map((each: unknown) => (typeof each === 'string' ? words(each) : text((each as Record<string, unknown>)?.message) || words(text((each as Record<string, unknown>)?.code)))).join(' ')
}

const KNOWN: Record<string, (p: Problem) => Advice> = {
  unreachable: () => ({
    title: 'The API cannot be reached',
    what: 'Nothing was lost here. Check that Holdfast runs and that you are online; this page tries again by itself.',
  }),
  handoff_already_decided: (p) => ({
    title: 'Somebody was first',
    what: `${words(text(p.more.by)) || 'Somebody'} ${text(p.more.decision) || 'decided'} it${
      p.more.at ? ` ${ago(text(p.more.at), Date.now())}` : ''
    }. Your click changed nothing.`,
  }),
  approval_stale: () => ({
    title: 'This is no longer what is on the table',
    what: 'The proposal changed, or its time is over, since this page was loaded. Nothing was approved. Read it again, then decide.',
  }),
  edit_refused: (p) => ({
    title: 'The rules do not allow this amount',
    what: `Nothing changed. ${said(p.more.reasons)} ${said(p.more.issues)}`.trim(),
  }),
  not_an_approver: (p) => ({
    title: 'Your yes does not count here',
    what:
      p.more.reason === 'self_approval'
        ? 'You changed the amount, so somebody else must approve it.'
        : 'The approval rules name other people for this. Hand it to one of them.',
  }),
  scope_missing: (p) => ({
    title: 'You may not do this',
    what: `It needs one of: ${Array.isArray(p.more.needs) ? p.more.needs.join(', ') : 'another scope'}. An admin can give you that.`,
  }),
  csrf_refused: () => ({
    title: 'The browser did not send this from our own page',
    what: 'Open the console under one address only, in one tab, and load it again.',
  }),
  step_up_needed: () => ({ title: 'The password is needed once more', what: 'Nothing was done. Try again and give it.' }),
  sign_in_failed: () => ({
    title: 'That did not work',
    what: 'Organisation, login or password are wrong, or the account is disabled. Which of them is never said.',
  }),
  rate_limited: (p) => ({
    title: 'Too many tries',
    what: `Wait ${p.retryAfter ?? 'a few'} seconds. Nothing was done.`,
  }),
  overloaded: () => ({ title: 'The server has as much to do as it takes on', what: 'Nothing was done. Try again in a few seconds.' }),
  dependency_down: () => ({
    title: 'Something Holdfast needs is away',
    what: 'Postgres or Temporal does not answer. Repeating is safe; /readyz names what is missing.',
  }),
  customer_not_found: () => ({ title: 'There is no such customer', what: 'Customer ids are your own: check the spelling, capitals count.' }),
  interaction_not_found: () => ({ title: 'There is no such interaction', what: 'Follow it from the list: it may belong to another organisation.' }),
  handoff_not_found: () => ({ title: 'There is no such handoff', what: 'Follow it from the inbox: it may belong to another organisation.' }),
  validation_failed: () => ({ title: 'Some of this cannot be accepted', what: 'Mend what is named below. Nothing was done.' }),
  internal: () => ({
    title: 'Something unexpected happened',
    what: 'Look whether it was done before you repeat it. The server’s log has the details.',
  }),
}

/** What to tell a person, and what they can do about it. */
export function advice(problem: Problem): Advice {
  const known = KNOWN[problem.code]
  if (known) return known(problem)
  if (problem.code === 'conflict' && problem.more.assignee) {
    return {
      title: 'It is in other hands',
      what: `${words(text(problem.more.assignee))} took it first and holds it until ${
        problem.more.claimedUntil ? new Date(text(problem.more.claimedUntil)).toLocaleTimeString() : 'they give it back'
      }. Take another one, or ask them to hand it on.`,
    }
  }
  if (problem.code === 'conflict' && problem.more.by) {
    return {
      title: 'Somebody was first',
      what: `${words(text(problem.more.by))} already did this: ${words(text(problem.more.decision)).toLowerCase()}.`,
    }
  }
  if (problem.status === 404) return { title: 'There is no such thing', what: problem.detail || 'It may belong to another organisation.' }
  return { title: words(problem.code), what: problem.detail || 'Load the page again and look how it stands.' }
}
