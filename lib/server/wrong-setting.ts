import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import type { Settings } from '../frame/settings.ts'
import { nearest } from '../frame/text.ts'
import { findAccount } from '../host/accounts.ts'
import { effectiveUid } from '../host/identity.ts'

/** Whose connection it is, and the settings that say where it goes. */
export type Chosen = {
  /** The kind of connection: the administrative one, or the application's. */
  readonly as: 'administrator' | 'application'
  readonly settings?: Settings | undefined
}

const SOCKET = /^\.s\.PGSQL\.(\d+)$/
/** Where PostgreSQL's socket usually is: in Debian and NixOS, and where it was built without either. */
const FOLDERS = ['/run/postgresql', '/tmp']

/** The ports of the PostgreSQL sockets in a folder; undefined where there is no such folder. */
function portsIn(folder: string): readonly number[] | undefined {
  try {
    const ports = readdirSync(folder).flatMap(name => SOCKET.exec(name)?.[1] ?? [])
    return ports.map(Number).sort((one, other) => one - other)
  } catch {
    return undefined
  }
}

/** Another folder in which PostgreSQL's account has a socket for the port: one in /tmp may be anybody's. */
function otherFolder({ host, port, postgresAccount }: Settings): string | undefined {
  return FOLDERS.filter(folder => folder !== host).find(folder => {
    try {
      const there = lstatSync(`${folder}/.s.PGSQL.${port}`)
      return there.isSocket() && there.uid === findAccount(postgresAccount)?.uid
    } catch {
      return false
    }
  })
}

/** What is there instead of what was looked for, and the setting that leads there. */
type Instead = {
  readonly there?: string
  readonly hint: string
  /** Whether what was looked for is there in another way, so that it is the setting that is wrong. */
  readonly found?: true
}

/** Where nothing answers the administrator or the application: what tells that a setting is wrong, and not PostgreSQL down. */
export function insteadOf({ as, settings }: Chosen): Instead | undefined {
  if (!settings) return undefined
  const { host, port, dbPort } = settings
  if (as === 'application' && dbPort !== port) {
    const hint = `ENDOREG_DB_PORT is ${dbPort}, and the port of PostgreSQL (PGPORT) is ${port}: correct ENDOREG_DB_PORT, or start what is to listen there (a pooler).`
    return { hint }
  }
  const local = ['localhost', '127.0.0.1', '::1'].includes(host)
  if (!host.startsWith('/') && !local) return undefined
  const folder = local ? '/run/postgresql' : host
  const ports = portsIn(folder)
  // What has its socket is up, and a setting is not to blame that it does not answer.
  if (ports?.includes(port)) return undefined
  if (ports && ports.length > 0) {
    return {
      found: true,
      there: `in ${folder} there is a socket for port ${ports.join(' and ')}`,
      hint: `PGPORT is ${port}: set it to ${ports.join(' or ')}, if that is the server that is meant; else start the one that is.`,
    }
  }
  if (as === 'application') return undefined
  const elsewhere = local ? undefined : otherFolder(settings)
  if (elsewhere !== undefined)
    return {
      found: true,
      there: `there is one in ${elsewhere}`,
      hint: `PGHOST is ${host}: set it to ${elsewhere}, if that is the server that is meant.`,
    }
  if (!/^(?:\/var)?\/run\/postgresql$/.test(folder))
    return {
      ...(ports === undefined ? { there: 'there is no such folder' } : {}),
      hint: `Is PGHOST right, which is ${host}? PostgreSQL has its socket in the folder that unix_socket_directories names.`,
    }
  return undefined
}

/** The names of this host and of others, as /etc/hosts has them. */
function knownNames(): readonly string[] {
  try {
    const lines = readFileSync('/etc/hosts', 'utf8').split('\n')
    return ['localhost', ...lines.flatMap(line => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))]
  } catch {
    return ['localhost']
  }
}

/** What to do about a name that means no address. */
export function nameHint({ as, settings }: Chosen, place: string): string {
  const name = as === 'administrator' ? 'PGHOST' : 'ENDOREG_DB_HOST'
  const host = settings && (as === 'administrator' ? settings.host : settings.dbHost)
  const wrong = host ?? place
  if (wrong === 'localhost')
    return 'Look at /etc/hosts: it should have "127.0.0.1 localhost" and "::1 localhost".'
  // Of a short name too many are near.
  const meant = wrong.length < 5 ? undefined : nearest(wrong, knownNames())
  return meant !== undefined && meant !== wrong
    ? `${name} is ${wrong}: did you mean ${meant}?`
    : `${name} is ${wrong}: correct it, or let /etc/hosts or the resolver know that name.`
}

/** What to do where PostgreSQL's rules or its roles keep the administrator out. */
export function administratorHint(
  { settings }: Chosen,
  role: string,
  routine: string | undefined,
  password: boolean,
): string {
  // The rules have let it in as that role, which is not there, or may not log in (miscinit.c).
  if (routine === 'InitializeSessionUserId')
    return `PGUSER is ${role}: set it to a superuser that may log in, usually postgres.`
  const socket = settings?.host.startsWith('/') ?? true
  if (password) {
    return socket
      ? `Let the rule for the socket say peer (local all "${role}" peer), correct PGUSER, which is ${role}, or set PGPASSWORD.`
      : `Connect through the socket, where peer needs no password (PGHOST=/run/postgresql), correct PGUSER, which is ${role}, or set PGPASSWORD.`
  }
  if (!socket)
    return `Connect through the socket (PGHOST=/run/postgresql), or add a rule for ${role} at this address to pg_hba.conf.`
  const account = settings?.postgresAccount ?? 'postgres'
  return effectiveUid() === 0
    ? `PGUSER is ${role}, and root connects as the account ${account} (ENDOREG_PG_OS_USER): correct the one that is wrong, or let pg_hba.conf and pg_ident.conf let that account in as that role.`
    : `Run it as root, or as the account that pg_hba.conf and pg_ident.conf let in as ${role} (PGUSER).`
}
