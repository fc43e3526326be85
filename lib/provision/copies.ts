import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { type Password, parsePassword, passwordBytes } from '../frame/password.ts'
import type { Change } from '../frame/terms.ts'
import { litter, prepareFile, readRegular, remove, replace, requireReplaceable } from '../host/file.ts'
import { type Folder, inFolder, withFolder } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { bytes, job, password } from '../host/job.ts'
import { describeOwnership, type Ownership, ownership, ownershipDrift, stateOf } from '../host/ownership.ts'

/** What is at `conf/db_pwd`. */
type PasswordCopy = v.InferOutput<typeof passwordCopy>

const passwordCopy = v.variant('state', [
  v.strictObject({ state: v.literal('missing') }),
  /** No regular file with a password in it: a link, a folder, odd bytes. */
  v.strictObject({ state: v.literal('unusable'), why: v.string() }),
  v.strictObject({ state: v.literal('file'), password, drift: v.optional(v.string()) }),
])

/** The checkout's configuration folder as it is. */
export type Checkout = v.InferOutput<typeof checkout>

const checkout = v.strictObject({
  path: v.string(),
  copy: passwordCopy,
  /** db.yaml with its mode; undefined where there is none. */
  settings: v.optional(v.strictObject({ text: v.string(), mode: v.number() })),
  litter: v.array(v.string()),
})

const PASSWORD_COPY = 'db_pwd'
const SETTINGS = 'db.yaml'

/**
 * Looks at the checkout `path`, whose db_pwd should belong to `owner`. Done as the service account, never
 * with root's rights: that account controls what is there. Changes nothing.
 *
 * @returns undefined where there is no checkout yet
 */
export const inspectCheckout = job(
  'inspect checkout',
  [v.string(), ownership],
  v.optional(checkout),
  (path, owner): Checkout | undefined =>
    inFolder(path, () => {
      const conf = inFolder(`${path}/conf`, folder =>
        doing(`look at ${path}/conf`, () => ({
          path,
          copy: inspectCopy(folder, owner),
          settings: inspectSettings(folder),
          litter: [...litter(folder, PASSWORD_COPY), ...litter(folder, SETTINGS)],
        })),
      )
      return conf ?? { path, copy: { state: 'missing' }, litter: [] }
    }),
)

function inspectCopy(conf: Folder, owner: Ownership): PasswordCopy {
  const found = conf.look(PASSWORD_COPY)
  if (!found) return { state: 'missing' }
  if (found.isSymbolicLink()) return { state: 'unusable', why: 'it was a link' }
  if (found.isDirectory()) {
    throw new Failure(ExitCode.configuration, {
      message: `install ${conf.show(PASSWORD_COPY)}`,
      cause: 'a folder stands in its place',
      hint: `Move it away: mv ${conf.show(PASSWORD_COPY)} ${conf.show('db_pwd.old')}`,
    })
  }
  try {
    const { bytes, stat } = readRegular(conf, PASSWORD_COPY)
    if (bytes.length === 0) return { state: 'unusable', why: 'it was empty' }
    const password = parsePassword(bytes, conf.show(PASSWORD_COPY))
    return { state: 'file', password, drift: ownershipDrift(stateOf(stat), owner) }
  } catch (error) {
    if (error instanceof Failure) return { state: 'unusable', why: error.reason }
    // Somebody has removed it since the look.
    if (errnoOf(error) === 'ENOENT') return { state: 'missing' }
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

/** Writes db_pwd under a temporary name, which it returns, into the checkout's configuration folder. */
const prepareCopy = job('prepare copy', [v.string(), bytes, ownership], v.string(), (conf, content, owner) =>
  withFolder(conf, 0o750, folder => prepareFile(folder, PASSWORD_COPY, content, owner)),
)

/** Gives a prepared db_pwd its name, in one step (rename(2)). */
const placeCopy = job('place copy', [v.string(), v.string()], v.void(), (conf, temporary) =>
  inFolder(conf, folder => folder.rename(temporary, PASSWORD_COPY)),
)

/** Puts what was placed on the disk. */
const synchronise = job('synchronise', [v.string()], v.void(), conf =>
  inFolder(conf, folder => folder.sync()),
)

/** A db_pwd that is written and waits to be put in place at the right moment. */
export type PreparedCopy = {
  readonly path: string
  /** In one step, which is not on the disk yet. */
  readonly place: () => Promise<void>
  readonly synchronise: () => void
  /** Takes it away where it is not wanted any more. */
  readonly discard: () => void
}

/** Prepares `conf/db_pwd` with `password` in the checkout `path`. */
export async function preparePasswordCopy(
  path: string,
  password: Password,
  service: Account,
  owner: Ownership,
): Promise<PreparedCopy> {
  const conf = `${path}/conf`
  const temporary = doing(`write ${conf}/${PASSWORD_COPY}`, () =>
    prepareCopy.as(service, conf, passwordBytes(password), owner),
  )
  const place = await placeCopy.armAs(service, conf, temporary)
  return {
    path: `${conf}/${PASSWORD_COPY}`,
    place: place.fire,
    synchronise: () => synchronise.as(service, conf),
    discard: () => {
      place.discard()
      remove.as(service, `${conf}/${temporary}`)
    },
  }
}

/** Fails as putting another `conf/db_pwd` into the checkout `path` would, as far as that can be seen before. */
export const requireCopyReplaceable = (path: string, service: Account): void =>
  requireFile(`${path}/conf/${PASSWORD_COPY}`, service)

const requireFile = (path: string, service: Account): void =>
  doing(`replace ${path}`, () => requireReplaceable.as(service, path))

/**
 * The changes after which `conf/db_pwd` holds `password`, whole, with its owner and mode. Fails where that cannot be
 * done: something is mounted over it, it is immutable, its file system is full or read-only.
 */
export function planPasswordCopy(
  checkout: Checkout,
  password: Password,
  service: Account,
  owner: Ownership,
): Change[] {
  const conf = `${checkout.path}/conf`
  const { copy } = checkout
  const changes = checkout.litter.map(
    (leftover): Change => ({
      by: 'file',
      resource: `file ${conf}/${leftover}`,
      action: 'remove, a killed run left it',
      run: () => remove.as(service, `${conf}/${leftover}`),
    }),
  )
  const why = copyDrift(copy, password)
  if (!why) return changes
  const file = `${conf}/${PASSWORD_COPY}`
  requireFile(file, service)
  changes.push({
    by: 'file',
    resource: `file ${file}`,
    action: `install, ${describeOwnership(owner)} (${why})`,
    run: () => replace.as(service, file, passwordBytes(password), owner),
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

/** The change after which `conf/db.yaml` is `text`; an existing file keeps its mode. Fails where that cannot be done. */
export function planSettings(
  checkout: Checkout,
  corrected: { readonly text: string; readonly differing: readonly string[] },
  service: Account,
  owner: Ownership,
): Change[] {
  if (corrected.differing.length === 0) return []
  const mode = checkout.settings?.mode ?? 0o640
  const file = `${checkout.path}/conf/${SETTINGS}`
  requireFile(file, service)
  return [
    {
      by: 'file',
      resource: `file ${file}`,
      action: checkout.settings ? `correct ${corrected.differing.join(', ')}` : 'create',
      run: () => replace.as(service, file, Buffer.from(corrected.text), { ...owner, mode }),
    },
  ]
}
