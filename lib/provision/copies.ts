import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { Password, parsePassword, passwordBytes } from '../frame/password.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change } from '../frame/terms.ts'
import { create, prepareFile, readFollowing, remove, replace, requireReplaceable } from '../host/file.ts'
import { inFolder, withFolder } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { bytes, job } from '../host/job.ts'
import { describeOwnership, type Ownership, ownership, ownershipCommand } from '../host/ownership.ts'
import { type Checkout, KEY, LOCAL, PASSWORD_COPY, type PasswordCopy, SETTINGS } from './checkout-files.ts'
import { withoutPassword } from './db-yaml.ts'

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
  const { path, copy } = checkout
  const changes = checkout.litter.map(
    (leftover): Change => ({
      by: 'file',
      resource: `file ${path}/${leftover}`,
      action: 'remove, a killed run left it',
      run: () => remove.as(service, `${path}/${leftover}`),
    }),
  )
  const why = copyDrift(copy, password)
  if (!why) return changes
  const file = `${path}/conf/${PASSWORD_COPY}`
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

/**
 * The change after which `conf/secret_key` holds a key, which is generated once and never replaced. A link is somebody
 * else's and left as it is. Fails with 78 where what is there can be no key.
 */
export function planKey(checkout: Checkout, service: Account, owner: Ownership): Change[] {
  const file = `${checkout.path}/conf/${KEY}`
  const { key } = checkout
  const change = (action: string, run: () => void): Change[] => {
    requireFile(file, service)
    return [{ by: 'file', resource: `file ${file}`, action: `${action}, ${describeOwnership(owner)}`, run }]
  }
  switch (key.state) {
    case 'missing':
      return change('generate', () => {
        create.as(service, file, passwordBytes(Password.generate()), owner)
      })
    case 'file': {
      const { drift, password } = key
      if (drift === undefined) return []
      return change('set owner and mode', () => replace.as(service, file, passwordBytes(password), owner))
    }
    case 'link':
      return []
    case 'unusable':
      throw noKey(file, key.why, key.closed ? ownershipCommand(file, owner) : undefined)
  }
}

const noKey = (file: string, cause: string, opens: string | undefined): Failure =>
  new Failure(ExitCode.configuration, {
    message: `provide the API's SECRET_KEY in ${file}`,
    cause,
    hint: opens
      ? `Give it back: ${opens}`
      : 'Put the right key there, or move the file away: a new one is generated then, with which nobody is logged in to the API any more.',
  })

/** The change after which `local_settings.py` is `text`, where it is missing or ours; it keeps its mode. Fails where that cannot be done. */
export function planLocalSettings(
  { path, local }: Checkout,
  text: string,
  service: Account,
  owner: Ownership,
): Change[] {
  if (local.state === 'foreign' || (local.state === 'ours' && local.text === text)) return []
  const file = `${path}/${LOCAL}`
  const mode = local.state === 'ours' ? local.mode : 0o640
  requireFile(file, service)
  return [
    {
      by: 'file',
      resource: `file ${file}`,
      action: local.state === 'ours' ? 'correct' : 'create',
      run: () => replace.as(service, file, Buffer.from(text), { ...owner, mode }),
    },
  ]
}

/** Takes the password in plain out of the `conf/db.yaml` that was found, which keeps its mode. Fails with 78 where that cannot be done. */
export function removePlainPassword(
  settings: Settings,
  checkout: Checkout,
  service: Account,
  owner: Ownership,
): void {
  const { settings: found, path } = checkout
  if (!found) return
  const text = withoutPassword(settings, found.text)
  replace.as(service, `${path}/conf/${SETTINGS}`, Buffer.from(text), { ...owner, mode: found.mode })
}

/** Looks whether the service account can read the key that another tool provides. Fails with 75 where there is none yet. */
export const requireKey = job("read the API's key", [v.string()], v.void(), path => {
  try {
    parsePassword(readFollowing(path).bytes, path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw systemFailure(error, `read the API's SECRET_KEY in ${path}`)
    throw new Failure(ExitCode.tryLater, {
      message: `read the API's SECRET_KEY in ${path}`,
      cause: 'there is no such file yet',
      hint: 'Let the tool that provides it put it there, or take ENDOREG_API_SECRET_KEY_FILE back: a key is generated then.',
    })
  }
})
