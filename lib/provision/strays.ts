import * as v from 'valibot'
import { Failure } from '../frame/failure.ts'
import { type Password, parsePassword } from '../frame/password.ts'
import type { Report } from '../frame/report.ts'
import type { Settings } from '../frame/settings.ts'
import { findAccount, homeOf } from '../host/accounts.ts'
import { readRegular } from '../host/file.ts'
import { inFolderOf } from '../host/folder.ts'
import { type Helpers, withHelpers } from '../host/helpers.ts'
import type { Account } from '../host/identity.ts'
import { job, password } from '../host/job.ts'
import { passwordIn } from './db-yaml.ts'

/** A file of another tool with a password in plain, which nobody keeps in step, and the account with whose rights it is seen. */
export type Stray = { readonly path: string; readonly account: Account; readonly password: Password }

const look = job('look for a stray', [v.string()], v.optional(password), path =>
  inFolderOf(path, (folder, name) => {
    if (!folder.look(name)?.isFile()) return undefined
    try {
      return parsePassword(readRegular(folder, name).bytes, path)
    } catch (error) {
      // What can be no password is none of ours to speak of.
      if (error instanceof Failure) return undefined
      throw error
    }
  }),
)

/** Where LuxNix copies the vault's password to: into homes of the service account, of PostgreSQL's and the administrator's. */
function places({ vaultFile, serviceUser, postgresAccount, vaultOwner }: Settings) {
  const below = vaultFile.split('/').slice(-2).join('/')
  const places = [
    { name: serviceUser, file: `secrets/${below}` },
    { name: postgresAccount, file: 'endoregDbLocal.password' },
    { name: vaultOwner, file: `secrets/${below}` },
  ]
  return places.flatMap(({ name, file }) => {
    const account = findAccount(name)
    const path = account && `${homeOf(account)}/${file}`
    return account && path && path !== vaultFile ? [{ path, account }] : []
  })
}

/**
 * The copies of the password that other tools have left on this host, each seen with the rights of the account whose home
 * it is in; where these do not do, nothing is seen.
 */
export async function findStrays(helpers: Helpers, settings: Settings): Promise<Stray[]> {
  const looks = places(settings).map(async ({ path, account }): Promise<Stray[]> => {
    try {
      const found = await look.laterAs(helpers, account, path)
      return found ? [{ path, account, password: found }] : []
    } catch {
      // Whatever an account has put in the way there ends no rotation and no diagnosis.
      return []
    }
  })
  return (await Promise.all(looks)).flat()
}

/**
 * Says before a rotation where the old password stays.
 *
 * @param text that of db.yaml; undefined where there is none
 */
export async function warnOfStrays(
  report: Report,
  settings: Settings,
  text: string | undefined,
): Promise<void> {
  const yaml = passwordIn(text) ? [`${settings.apiDir}/conf/db.yaml`] : []
  const strays = await withHelpers(helpers => findStrays(helpers, settings))
  for (const path of [...yaml, ...strays.map(stray => stray.path)])
    report.warning(
      `${path} holds a password in plain, which another tool has put there and which stays the old one. fix-postgres removes it.`,
    )
}
