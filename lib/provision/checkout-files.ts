import { isUtf8 } from 'node:buffer'
import { readlinkSync, type Stats } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, explainErrno, Failure } from '../frame/failure.ts'
import { parsePassword } from '../frame/password.ts'
import { accountName, groupName } from '../host/accounts.ts'
import { type Content, litter, lookReplaceable, readFollowing, readRegular } from '../host/file.ts'
import { type Folder, inFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { job, password } from '../host/job.ts'
import { type Ownership, ownership, ownershipDrift, stateOf } from '../host/ownership.ts'
import { isOurs } from './local-settings.ts'

/** What is at `conf/db_pwd`. */
export type PasswordCopy = v.InferOutput<typeof passwordCopy>

const states = [
  v.strictObject({ state: v.literal('missing') }),
  /** No regular file with a password in it: a pipe, odd bytes. */
  v.strictObject({
    state: v.literal('unusable'),
    why: v.string(),
    /** Whether it may be right, and the service account only may not read it. */
    closed: v.optional(v.literal(true)),
  }),
  v.strictObject({ state: v.literal('file'), password, drift: v.optional(v.string()) }),
] as const
const passwordCopy = v.variant('state', states)
/** The generated SECRET_KEY of Django; a link is somebody else's. */
const key = v.variant('state', [...states, v.strictObject({ state: v.literal('link') })])

/** What is at `local_settings.py`: ours, with its mode, or somebody else's, with its text where there is one to read. */
const localFile = v.variant('state', [
  v.strictObject({ state: v.literal('missing') }),
  v.strictObject({ state: v.literal('ours'), text: v.string(), mode: v.number() }),
  v.strictObject({ state: v.literal('foreign'), text: v.optional(v.string()) }),
])

/** The checkout's configuration as it is. */
export type Checkout = v.InferOutput<typeof checkout>

const checkout = v.strictObject({
  path: v.string(),
  copy: passwordCopy,
  key,
  /** db.yaml with its mode; undefined where there is none. */
  settings: v.optional(v.strictObject({ text: v.string(), mode: v.number() })),
  local: localFile,
  /** Why nothing can be installed there, and what to do; undefined where something can, but for want of space. */
  blocked: v.optional(v.strictObject({ why: v.string(), hint: v.string() })),
  /** By their paths from the checkout on. */
  litter: v.array(v.string()),
})

/** How the files in the checkout are called; the first three are in `conf`. */
export const PASSWORD_COPY = 'db_pwd'
export const KEY = 'secret_key'
export const SETTINGS = 'db.yaml'
export const LOCAL = 'local_settings.py'

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
    inFolder(path, top => {
      const conf = inFolder(`${path}/conf`, folder =>
        doing(`look at ${path}/conf`, () => ({
          copy: inspectCopy(folder, owner),
          key: inspectKey(folder, owner),
          settings: inspectSettings(folder),
          blocked: whyBlocked(folder, PASSWORD_COPY),
          litter: [PASSWORD_COPY, KEY, SETTINGS].flatMap(name =>
            litter(folder, name).map(leftover => `conf/${leftover}`),
          ),
        })),
      )
      const { litter: left, ...others } = conf ?? {
        ...{ copy: NONE, key: NONE, litter: [] },
        blocked: whyBlocked(top, 'conf'),
      }
      return doing(`look at ${path}`, () => ({
        path,
        ...others,
        local: inspectLocal(top),
        litter: [...left, ...litter(top, LOCAL)],
      }))
    }),
)

const NONE = { state: 'missing' } as const

function inspectCopy(conf: Folder, owner: Ownership): PasswordCopy {
  const found = conf.look(PASSWORD_COPY)
  if (found?.isSymbolicLink()) return { state: 'unusable', why: 'it was a link' }
  if (found?.isDirectory()) {
    throw new Failure(ExitCode.configuration, {
      message: `install ${conf.show(PASSWORD_COPY)}`,
      cause: 'a folder stands in its place',
      hint: `Move it away: mv ${conf.show(PASSWORD_COPY)} ${conf.show('db_pwd.old')}`,
    })
  }
  return inspectSecret(conf, PASSWORD_COPY, owner) ?? { state: 'unusable', why: 'it was empty' }
}

/** Why `name` cannot be made or replaced. A full disk is found where disks are looked at. */
function whyBlocked(folder: Folder, name: string): Checkout['blocked'] {
  try {
    lookReplaceable(folder, name)
    return undefined
  } catch (error) {
    const explained = explainErrno(error, `replace ${folder.show(name)}`)
    if (!explained) throw error
    return errnoOf(error) === 'ENOSPC' ? undefined : { why: explained.cause, hint: explained.hint }
  }
}

function inspectKey(conf: Folder, owner: Ownership): Checkout['key'] {
  const found = conf.look(KEY)
  if (found?.isSymbolicLink()) return { state: 'link' }
  if (found?.isDirectory()) return { state: 'unusable', why: 'it is a folder' }
  return inspectSecret(conf, KEY, owner) ?? NONE
}

/** The file `name`, which is no link; undefined where it has no bytes. */
function inspectSecret(conf: Folder, name: string, owner: Ownership): PasswordCopy | undefined {
  try {
    const { bytes, stat } = readRegular(conf, name)
    if (bytes.length === 0) return undefined
    const password = parsePassword(bytes, conf.show(name))
    return { state: 'file', password, drift: ownershipDrift(stateOf(stat), owner) }
  } catch (error) {
    if (error instanceof Failure) return { state: 'unusable', why: error.reason }
    if (errnoOf(error) === 'ENOENT') return NONE
    if (errnoOf(error) === 'EACCES')
      return { state: 'unusable', why: whoCannotRead(conf.look(name)), closed: true }
    throw error
  }
}

function whoCannotRead(found: Stats | undefined): string {
  const me = effectiveUid()
  if (!found || found.uid === me) return 'its owner could not read it'
  return `it belongs to ${accountName(found.uid)}:${groupName(found.gid)}, and ${accountName(me)} could not read it`
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

/** Where our module for NixOS has led the file to, before it was installed here. */
const FORMER = /^\/nix\/store\/[^/]+-local_settings\.py$/

/** A link is read as the API follows it, with the rights of the account. What cannot be read is somebody's all the same. */
function inspectLocal(top: Folder): Checkout['local'] {
  const found = top.look(LOCAL)
  if (!found) return NONE
  if (found.isSymbolicLink()) {
    if (FORMER.test(readlinkSync(top.at(LOCAL)))) return NONE
    try {
      return { state: 'foreign', text: textOf(readFollowing(top.at(LOCAL))) }
    } catch {
      return { state: 'foreign' }
    }
  }
  try {
    const content = readRegular(top, LOCAL)
    const text = textOf(content)
    return text !== undefined && isOurs(text)
      ? { state: 'ours', text, mode: content.stat.mode & 0o777 }
      : { state: 'foreign', text }
  } catch {
    return { state: 'foreign' }
  }
}

const textOf = ({ bytes }: Content): string | undefined =>
  isUtf8(bytes) ? bytes.toString('utf8') : undefined
