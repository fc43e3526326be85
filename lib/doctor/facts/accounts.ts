import * as v from 'valibot'
import { errnoOf, Failure } from '../../frame/failure.ts'
import type { Settings } from '../../frame/settings.ts'
import { findAccount, findGroup, type Group, isMember } from '../../host/accounts.ts'
import { inFolder } from '../../host/folder.ts'
import type { Helpers } from '../../host/helpers.ts'
import { type Account, effectiveUid } from '../../host/identity.ts'
import { job } from '../../host/job.ts'

import { state, stateOf } from '../../host/ownership.ts'
import { type Fact, ifKnown, toFact, toFactLater, unknown } from './fact.ts'

/** The accounts and groups that the settings name, as far as this host has them. */
export type Accounts = {
  readonly postgres: Account | undefined
  readonly vaultOwner: Account | undefined
  readonly vaultGroup: Group | undefined
  readonly service: Account | undefined
  readonly serviceGroup: Group | undefined
  /** Whether the service account is in the vault's group. */
  readonly member: boolean
}

export const gatherAccounts = (settings: Settings): Fact<Accounts> =>
  toFact(() => {
    const service = findAccount(settings.serviceUser)
    const vaultGroup = findGroup(settings.vaultGroup)
    return {
      postgres: findAccount(settings.postgresAccount),
      vaultOwner: findAccount(settings.vaultOwner),
      vaultGroup,
      service,
      serviceGroup: findGroup(settings.serviceGroup),
      member: service !== undefined && vaultGroup !== undefined && isMember(service, vaultGroup),
    }
  })

/** The folders from the root to one, as an account sees them that enters each of them. */
type Traversal = v.InferOutput<typeof traversal>

const traversal = v.strictObject({
  /** As far as they could be seen, from the top; `safe` where nobody else can put another one in its place. */
  folders: v.array(v.strictObject({ path: v.string(), stat: state, safe: v.boolean() })),
  /** The folder at which it ended: it may not be entered, or there is none, or a link that is not followed. */
  end: v.optional(v.strictObject({ path: v.string(), closed: v.boolean() })),
})

/** Enters every folder on the way to `path`, which itself counts. Changes nothing. */
const traverse = job('traverse', [v.string()], traversal, (path): Traversal => {
  const folders: Traversal['folders'] = []
  const names = path.split('/').filter(Boolean)
  for (const [index] of names.entries()) {
    const prefix = `/${names.slice(0, index + 1).join('/')}`
    try {
      // What is in it can be named only by who may enter it, so each is entered.
      const entered = inFolder(prefix, folder => {
        folder.look('.')
        return { path: prefix, stat: stateOf(folder.stat()), safe: folder.safe }
      })
      if (!entered) return { folders, end: { path: prefix, closed: false } }
      folders.push(entered)
    } catch (error) {
      const closed = errnoOf(error) === 'EACCES'
      if (!closed && !(error instanceof Failure)) throw error
      return { folders, end: { path: prefix, closed } }
    }
  }
  return { folders }
})

/** The path to something as this process can follow it, and as the account can that has to. */
export type Traversals = { readonly ours: Traversal | undefined; readonly theirs: Fact<Traversal> }

export async function gatherTraversals(
  helpers: Helpers,
  path: string,
  account: Account | undefined,
): Promise<Traversals> {
  const ours = ifKnown(toFact(() => traverse.here(path)))
  if (!account) return { ours, theirs: unknown('there is no such account') }
  if (effectiveUid() !== 0 && effectiveUid() !== account.uid)
    return { ours, theirs: unknown(`only root can see what ${account.name} sees`, 'Run it as root.', true) }
  return { ours, theirs: await toFactLater(() => traverse.laterAs(helpers, account, path)) }
}
