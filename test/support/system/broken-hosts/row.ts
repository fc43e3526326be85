import type { Fix } from '../../../../lib/doctor/findings/meanings.ts'
import { POSTGRESQL, type Release } from '../base.ts'
import { VAULT } from '../clinic.ts'

/** A booted host that is broken in one way. What is to be done there is a text for bash, as root. */
export type Row = {
  /** How it is broken, in words. */
  readonly name: string
  /** Whether a unit has a part in it; the others are tried on one release. */
  readonly units?: true
  readonly breaks: string
  /** The findings, by id and, where it is worth it, subject: exactly these and no others. */
  readonly finds: readonly string[]
  /** What fix-postgres is said to do about the first of them. */
  readonly fix?: Fix
  /** What is still found after `fix-postgres --yes`; nothing where it mends the host. */
  readonly leaves: readonly string[]
  /** What the first finding has to say: what was seen, what it means, what to do. Where there is none, what is told. */
  readonly says?: RegExp
  /** How a person mends what fix-postgres does not. */
  readonly restores?: string
}

export const SETUP = 'postgres-endoreg-setup.service'
export const BOOT = 'endo-api-boot.service'
export const API = 'endo-api.service'
export const SETTINGS = '/etc/endoreg/provision.env'

/** What is called otherwise on each release. */
export type Places = {
  readonly configuration: string
  readonly data: string
  readonly cluster: string
  readonly hba: string
}

export function places(release: Release): Places {
  const version = POSTGRESQL[release]
  const configuration = `/etc/postgresql/${version}/main`
  return {
    configuration,
    data: `/var/lib/postgresql/${version}/main`,
    cluster: `postgresql@${version}-main.service`,
    hba: `${configuration}/pg_hba.conf`,
  }
}

/** A statement of the administrator's; it holds no single quotes. */
export const sql = (statement: string, database = 'postgres'): string =>
  `sudo -u postgres psql -qXAt -d ${database} -c '${statement}'`

/** Returns when the rules and settings have been read: as systemd does it, Debian 12 is without kill(1). */
export const RELOAD = [
  `before=$(${sql('SELECT pg_conf_load_time()')})`,
  sql('SELECT pg_reload_conf()'),
  `until [ "$(${sql('SELECT pg_conf_load_time()')})" != "$before" ]; do sleep 0.05; done`,
].join('\n')

/** As often as the rows want it: systemd would not start a unit more than five times in ten seconds. */
export const again = (...units: readonly string[]): string =>
  `systemctl reset-failed ${units.join(' ')}; systemctl restart ${units.join(' ')}`

export const restartServer = ({ cluster }: Places): string => again('postgresql.service', cluster)

/** Of the unit above the clusters systemctl does not wait for these. */
export const stopServer = ({ cluster }: Places): string => `systemctl stop postgresql.service ${cluster}`

/** A vault file that cannot be used; its contents are kept. */
export const BAD_VAULT = `cp -p ${VAULT} /root/vault && printf 'a\\0b' >${VAULT}`
export const GOOD_VAULT = `cat /root/vault >${VAULT}`
