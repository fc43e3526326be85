import { isUtf8 } from 'node:buffer'
import { ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import type { Password } from '../password.ts'
import type { Change } from '../terms.ts'
import type { Account } from './accounts.ts'
import { type Folder, makeFolder, openFolder } from './folder.ts'
import { asAccount } from './identity.ts'
import { parsePassword, passwordBytes } from './password-text.ts'
import { litter, type Ownership, octal, readRegular, replaceFile } from './secret-file.ts'
import { removeLitter } from './vault.ts'
import { ownershipDrift } from './vault-plan.ts'

/** What is at `conf/db_pwd`. */
export type PasswordCopy =
  | { readonly state: 'missing' }
  /** No regular file with a password in it: a link, a folder, odd bytes. */
  | { readonly state: 'unusable'; readonly why: string }
  | { readonly state: 'file'; readonly password: Password; readonly drift: string | undefined }

/** The checkout's configuration folder as it is. */
export type Checkout = {
  readonly path: string
  readonly conf: Folder | undefined
  readonly copy: PasswordCopy
  /** db.yaml with its mode; undefined where there is none. */
  readonly settings: { readonly text: string; readonly mode: number } | undefined
  readonly litter: readonly string[]
}

const PASSWORD_COPY = 'db_pwd'
const SETTINGS = 'db.yaml'

/**
 * Looks at the checkout `path` with the rights of the service account, never with root's: that account
 * controls what is there. Changes nothing.
 *
 * @param owner what db_pwd should belong to
 * @returns undefined where there is no checkout yet
 */
export function inspectCheckout(path: string, service: Account, owner: Ownership): Checkout | undefined {
  return asAccount(service, () => {
    const folder = openFolder(path)
    if (!folder) return undefined
    folder.close()
    const conf = openFolder(`${path}/conf`)
    if (!conf) return { path, conf, copy: { state: 'missing' }, settings: undefined, litter: [] }
    try {
      return {
        path,
        conf,
        copy: inspectCopy(conf, owner),
        settings: inspectSettings(conf),
        litter: [...litter(conf, PASSWORD_COPY), ...litter(conf, SETTINGS)],
      }
    } catch (error) {
      throw systemFailure(error, `look at ${path}/conf`)
    }
  })
}

function inspectCopy(conf: Folder, owner: Ownership): PasswordCopy {
  const found = conf.look(PASSWORD_COPY)
  if (!found) return { state: 'missing' }
  if (found.isSymbolicLink()) return { state: 'unusable', why: 'it was a link' }
  if (found.isDirectory()) {
    throw new Failure(ExitCode.cannotCreate, {
      message: `install ${conf.show(PASSWORD_COPY)}`,
      cause: 'a folder stands in its place',
      hint: `Move it away: mv ${conf.show(PASSWORD_COPY)} ${conf.show('db_pwd.old')}`,
    })
  }
  try {
    const { bytes, stat } = readRegular(conf, PASSWORD_COPY)
    if (bytes.length === 0) return { state: 'unusable', why: 'it was empty' }
    const password = parsePassword(bytes, conf.show(PASSWORD_COPY))
    return { state: 'file', password, drift: ownershipDrift(stat, owner) }
  } catch (error) {
    if (error instanceof Failure) return { state: 'unusable', why: error.reason }
    if (errnoOf(error) === 'EACCES') return { state: 'unusable', why: 'its owner could not read it' }
    throw error
  }
}

function inspectSettings(conf: Folder): Checkout['settings'] {
  const found = conf.look(SETTINGS)
  if (!found) return undefined
  if (found.isSymbolicLink()) {
    throw new Failure(ExitCode.configuration, {
      message: `read the database settings in ${conf.show(SETTINGS)}`,
      cause: 'it is a link, and links in the checkout are not followed',
      hint: 'Put a file in its place, or remove it: a new one is written then.',
    })
  }
  const { bytes, stat } = readRegular(conf, SETTINGS)
  if (!isUtf8(bytes)) {
    throw new Failure(ExitCode.configuration, {
      message: `read the database settings in ${conf.show(SETTINGS)}`,
      cause: 'it is not valid UTF-8',
      hint: 'Correct the file by hand, or move it away: a new one is written then.',
    })
  }
  return { text: bytes.toString('utf8'), mode: stat.mode & 0o777 }
}

/** Takes each change's folder from here, so that the first one may make it. */
function confFolder(checkout: Checkout): Folder {
  return checkout.conf ?? makeFolder(`${checkout.path}/conf`, 0o750)
}

/** The changes after which `conf/db_pwd` holds `password`, whole, with its owner and mode. */
export function planPasswordCopy(
  checkout: Checkout,
  password: Password,
  service: Account,
  owner: Ownership,
): Change[] {
  const path = `${checkout.path}/conf/${PASSWORD_COPY}`
  const { conf, copy } = checkout
  const changes = checkout.litter.map(
    (leftover): Change => ({
      by: 'file',
      resource: `file ${checkout.path}/conf/${leftover}`,
      action: 'remove, a killed run left it',
      run: () => asAccount(service, () => conf && removeLitter(conf, leftover)),
    }),
  )
  const why = copyDrift(copy, password)
  if (!why) return changes
  changes.push({
    by: 'file',
    resource: `file ${path}`,
    action: `install, ${owner.names} ${octal(owner.mode)} (${why})`,
    run: () =>
      asAccount(service, () =>
        replaceFile(confFolder(checkout), PASSWORD_COPY, passwordBytes(password), owner),
      ),
  })
  return changes
}

/** Whether `conf/db_pwd` holds another password than `password`, or none. */
export const holdsOther = ({ copy }: Checkout, password: Password): boolean =>
  copy.state !== 'file' || !copy.password.equals(password)

function copyDrift(copy: PasswordCopy, password: Password): string | undefined {
  switch (copy.state) {
    case 'missing':
      return 'it was missing'
    case 'unusable':
      return copy.why
    case 'file':
      if (!copy.password.equals(password)) return 'it held another password'
      return copy.drift
  }
}

/** The change after which `conf/db.yaml` is `text`; an existing file keeps its mode. */
export function planSettings(
  checkout: Checkout,
  corrected: { readonly text: string; readonly differing: readonly string[] },
  service: Account,
  owner: Ownership,
): Change[] {
  if (corrected.differing.length === 0) return []
  const mode = checkout.settings?.mode ?? 0o640
  return [
    {
      by: 'file',
      resource: `file ${checkout.path}/conf/${SETTINGS}`,
      action: checkout.settings ? `correct ${corrected.differing.join(', ')}` : 'create',
      run: () =>
        asAccount(service, () =>
          replaceFile(confFolder(checkout), SETTINGS, Buffer.from(corrected.text), { ...owner, mode }),
        ),
    },
  ]
}
