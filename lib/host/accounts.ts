import { readFileSync } from 'node:fs'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Account } from './identity.ts'
import { finishSync } from './shell.ts'

/** A group of the operating system. */
export type Group = { readonly name: string; readonly gid: number }

const NAME = 0
const ID = 2
const PRIMARY_GROUP = 3
/** In group(5). */
const MEMBERS = 3
const HOME = 5
const NUMBER = /^\d{1,10}$/
/** Milliseconds that the name service gets. */
const NAME_SERVICE_LIMIT = 5000

/** The fields of the entry whose `column` is `key`, in passwd(5) or group(5), or from the name service. */
function entry(
  database: 'passwd' | 'group',
  column: typeof NAME | typeof ID,
  key: string,
): readonly string[] | undefined {
  // The local file first: it answers for every system account, a hundred times faster than a process.
  const wanted = (line: string): readonly string[] | undefined => {
    const fields = line.split(':')
    const whole =
      NUMBER.test(fields[ID] ?? '') && (database === 'group' || NUMBER.test(fields[PRIMARY_GROUP] ?? ''))
    return whole && fields[column] === key ? fields : undefined
  }
  for (const line of readFileSync(`/etc/${database}`, 'utf8').split('\n')) {
    const fields = wanted(line)
    if (fields) return fields
  }
  const { code, out, late } = finishSync(['getent', database, key], NAME_SERVICE_LIMIT)
  if (late) throw nameServiceHangs(database, key)
  // getent fails where there is no such entry; without getent the local file is all there is.
  return code === 0 ? wanted(out.trim()) : undefined
}

/** The account called `name` (passwd(5), then the name service switch), or undefined. */
export function findAccount(name: string): Account | undefined {
  const fields = entry('passwd', NAME, name)
  return fields && { name, uid: Number(fields[ID]), gid: Number(fields[PRIMARY_GROUP]) }
}

/** The account with the number `uid`, or undefined. */
export function accountById(uid: number): Account | undefined {
  const fields = entry('passwd', ID, String(uid))
  return fields && { name: fields[NAME] ?? String(uid), uid, gid: Number(fields[PRIMARY_GROUP]) }
}

/** The group called `name` (group(5), then the name service switch), or undefined. */
export function findGroup(name: string): Group | undefined {
  const fields = entry('group', NAME, name)
  return fields && { name, gid: Number(fields[ID]) }
}

/** Whether `account` is in `group`: by its primary group, the local file, or the name service (id(1)). */
export function isMember(account: Account, group: Group): boolean {
  if (account.gid === group.gid) return true
  if (entry('group', NAME, group.name)?.[MEMBERS]?.split(',').includes(account.name)) return true
  const { code, out } = finishSync(['id', '-G', account.name], NAME_SERVICE_LIMIT)
  return code === 0 && out.trim().split(' ').includes(String(group.gid))
}

/** The account called `name`; `setting` is where the name comes from. Fails with 78 where there is none. */
export function account(name: string, setting: string): Account {
  return findAccount(name) ?? missing('account', name, setting, `useradd --system ${name}`)
}

/** The group called `name`; `setting` is where the name comes from. Fails with 78 where there is none. */
export function group(name: string, setting: string): Group {
  return findGroup(name) ?? missing('group', name, setting, `groupadd --system ${name}`)
}

function missing(kind: string, name: string, setting: string, command: string): never {
  throw new Failure(ExitCode.configuration, {
    message: `look up the ${kind} ${name}`,
    cause: `this host has no ${kind} of that name`,
    hint: `Create it (${command}) or set ${setting} to the right one.`,
  })
}

const nameServiceHangs = (database: string, key: string): Failure =>
  new Failure(ExitCode.tryLater, {
    message: `look up ${key} in the name service (getent ${database} ${key})`,
    cause: `it did not answer within ${NAME_SERVICE_LIMIT / 1000} s`,
    hint: 'Look at /etc/nsswitch.conf and at sssd or nscd.',
  })

/** The home folder of `account`; the root folder where it has none. */
export const homeOf = ({ name }: Account): string => entry('passwd', NAME, name)?.[HOME] || '/'

/** How the account `uid` is called on this host; the number where it has no name. */
export const accountName = (uid: number): string => accountById(uid)?.name ?? String(uid)

/** How the group `gid` is called on this host; the number where it has no name. */
export const groupName = (gid: number): string => entry('group', ID, String(gid))?.[NAME] ?? String(gid)
