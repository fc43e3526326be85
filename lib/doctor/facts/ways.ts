import * as v from 'valibot'
import { errnoOf, Failure } from '../../frame/failure.ts'
import { inFolder } from '../../host/folder.ts'
import type { Account } from '../../host/identity.ts'
import { job } from '../../host/job.ts'
import { state, stateOf } from '../../host/ownership.ts'
import { type Fact, look, unknown } from './fact.ts'

/** A folder on the way to something, and who it belongs to. */
export type Step = v.InferOutput<typeof step>

const step = v.strictObject({ path: v.string(), stat: state })
const way = v.strictObject({
  /** As far as they could be seen, from the top. */
  steps: v.array(step),
  /** The folder at which it ended: it may not be entered, or there is none. */
  end: v.optional(
    v.strictObject({
      path: v.string(),
      how: v.picklist(['missing', 'closed', 'refused']),
      why: v.string(),
    }),
  ),
})

/** The way to a folder, as one account sees it. */
export type Way = v.InferOutput<typeof way>

/** The folders from the root to `path`, which itself counts. */
function prefixes(path: string): string[] {
  const parts = path.split('/').filter(Boolean)
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
}

/** Goes the way to the folder `path` step by step. Changes nothing. */
const walk = job('walk', [v.string()], way, (path): Way => {
  const steps: Step[] = []
  for (const prefix of prefixes(path)) {
    try {
      // What is in it can be named only by who may enter it, so each is entered.
      const stat = inFolder(prefix, folder => {
        folder.look('.')
        return stateOf(folder.stat())
      })
      if (!stat) return { steps, end: { path: prefix, how: 'missing', why: 'there is no such folder' } }
      steps.push({ path: prefix, stat })
    } catch (error) {
      if (errnoOf(error) === 'EACCES')
        return { steps, end: { path: prefix, how: 'closed', why: 'it may not be entered' } }
      if (!(error instanceof Failure)) throw error
      return { steps, end: { path: prefix, how: 'refused', why: error.reason } }
    }
  }
  return { steps }
})

/** The way to `path` as this process sees it, and as the account does that has to go it. */
export type Ways = { readonly ours: Fact<Way>; readonly theirs: Fact<Way> }

export function gatherWays(path: string, account: Account | undefined): Ways {
  const ours = look(() => walk.here(path))
  if (!account) return { ours, theirs: unknown('there is no such account') }
  if (process.geteuid?.() !== 0 && process.geteuid?.() !== account.uid)
    return { ours, theirs: unknown(`only root can see what ${account.name} sees`, 'Run it as root.', true) }
  return { ours, theirs: look(() => walk.as(account, path)) }
}
