import { existsSync, readdirSync } from 'node:fs'
import type { ClusterOptions } from './cluster.ts'

/** Debian's PostgreSQL with all its programs: the embedded one that other tests use has no pg_dump. */
const FOLDERS = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort().reverse() : []
const major = FOLDERS.find(
  name =>
    existsSync(`/usr/lib/postgresql/${name}/bin/initdb`) &&
    existsSync(`/usr/lib/postgresql/${name}/bin/pg_dump`),
)

/** tap's option for a test that needs pg_dump and its like: why it is skipped, or false. */
export const needsPrograms = {
  skip: major ? false : 'needs pg_dump and the server of one major version (Debian: apt install postgresql)',
} as const

/** The major version that `fullPostgres` has. */
export const MAJOR = Number(major)

/** What makes `Host.create` use it. */
export const fullPostgres = {
  bin: `/usr/lib/postgresql/${major}/bin`,
  template: process.env['TEST_DEBIAN_TEMPLATE'],
} as const satisfies Partial<ClusterOptions>
