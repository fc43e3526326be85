import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Disk, Lacking } from '../../../lib/doctor/facts/host.ts'
import type { Case } from './cases.ts'
import {
  BROKEN,
  backup,
  cluster,
  HBA,
  NIXOS,
  NOW,
  notUp,
  ROLE,
  SECONDS,
  tools,
  up,
  withRole,
} from './facts.ts'

const GIB = 1024 ** 3

/** A threshold from both sides: what is told just on this side of it, and just beyond. */
const sides = (
  what: string,
  within: readonly [what: string, told: Case['told']],
  beyond: readonly [what: string, told: Case['told']],
  ...finds: readonly string[]
): Case[] => [
  { name: `${what}: ${within[0]}`, told: within[1], finds: [] },
  { name: `${what}: ${beyond[0]}`, told: beyond[1], finds },
]

const measured = (change: Partial<Disk>): Disk => ({
  path: '/x',
  device: 1,
  holds: 'data',
  free: 50 * GIB,
  size: 100 * GIB,
  freeInodes: 500,
  inodes: 1000,
  ...change,
})
const disk = (...disks: readonly Partial<Disk>[]) => ({ disks: known(disks.map(measured)) })
const nowhere = (name: Lacking['name']): Lacking => ({
  name,
  why: 'it is neither in /usr/lib/postgresql/16/bin nor on the PATH',
  hint: 'Install it (Debian: apt install postgresql-client-16; NixOS: the package of services.postgresql).',
})
const LITTLE = 'warning disk-full (/x)'
const NOTHING = 'error disk-full (/x)'

const DISKS: readonly Case[] = [
  ...sides(
    'a tenth of a small disk',
    ['it is left', disk({ free: 4 * GIB, size: 40 * GIB })],
    ['it is not', disk({ free: 4 * GIB - 1, size: 40 * GIB })],
    LITTLE,
  ),
  ...sides(
    '5 GiB of a large disk',
    ['they are left', disk({ free: 5 * GIB, size: 400 * GIB })],
    ['they are not', disk({ free: 5 * GIB - 1, size: 400 * GIB })],
    LITTLE,
  ),
  ...sides(
    'a hundredth of a very large disk',
    ['it is left', disk({ free: 10 * GIB, size: 1000 * GIB })],
    ['it is not', disk({ free: 10 * GIB - 1, size: 1000 * GIB })],
    NOTHING,
  ),
  ...sides(
    'a tenth of the inodes of a small disk',
    ['it is left', disk({ free: 4 * GIB, size: 8 * GIB, freeInodes: 100 })],
    ['it is not', disk({ free: 4 * GIB, size: 8 * GIB, freeInodes: 99 })],
    LITTLE,
  ),
  ...sides(
    'a hundredth of the inodes of a large disk',
    ['it is left', disk({ freeInodes: 10 })],
    ['it is not', disk({ freeInodes: 9 })],
    NOTHING,
  ),
  {
    name: 'a hundredth of a small disk: it is left',
    told: disk({ free: GIB, size: 100 * GIB }),
    finds: [LITTLE],
    says: /the disk of data has 1\.0 GiB \(1 %\) and 50 % of the inodes left.*df -h \/x; df -i \/x/s,
  },
  {
    name: 'a hundredth of a small disk: it is not',
    told: disk({ free: GIB - 1, size: 100 * GIB }),
    finds: [NOTHING],
    says: /the disk of data has 1\.0 GiB \(0 %\) and/,
  },
  { name: 'a file system that counts no inodes', told: disk({ freeInodes: 0, inodes: 0 }), finds: [] },
  {
    name: 'a file system without a size and with full inodes',
    told: disk({ free: 0, size: 0, freeInodes: 0 }),
    finds: [NOTHING],
    says: /0\.0 GiB \(100 %\) and 0 % of the inodes/,
  },
  {
    name: 'two disks, of which one is full',
    told: disk({}, { path: '/y', free: 0 }),
    finds: ['error disk-full (/y)'],
  },
]

const HOUR = 3_600_000
const shelf = (age: number) => ({
  backups: known({ backups: [backup(new Date(NOW.getTime() - age))], unusable: [] }),
})
const expires = (seconds: number) => ({
  server: up({}, { cluster: known(withRole({ validUntil: seconds })) }),
})
const file = (kind: 'hba' | 'ident' | 'settings', changed: number | null) => ({
  server: up({ loaded: SECONDS - 60, files: [{ path: HBA, kind, changed }] }),
})
const major = (number: number, day = '2026-11-26T12:00:00Z') => {
  const now = Date.parse(day) / 1000
  return {
    now: new Date(day),
    tools: tools(number),
    server: up({ version: `${number}.1`, now, asked: [now, now] }, { major: number }),
    backups: shelf(NOW.getTime() - Date.parse(day)).backups,
  }
}

const TIMES: readonly Case[] = [
  ...sides(
    'a backup of two days ago',
    ['to the second', shelf(48 * HOUR)],
    ['and a second', shelf(48 * HOUR + 1000)],
    'warning backup-old (2026-11-26T02-00-00Z)',
  ),
  {
    name: 'a backup of tomorrow is none of long ago',
    told: shelf(-24 * HOUR),
    finds: ['notice backup-future (2026-11-26T02-00-00Z)'],
  },
  ...sides(
    'the clock of PostgreSQL',
    ['half a minute ahead', { server: up({ now: SECONDS + 30 }) }],
    ['and a second', { server: up({ now: SECONDS + 31 }) }],
    'warning clock-off (clock)',
  ),
  {
    name: 'an answer of PostgreSQL that took a minute says nothing of its clock',
    told: { server: up({ now: SECONDS - 60, asked: [SECONDS - 61, SECONDS] }), now: NOW },
    finds: [],
  },
  ...sides(
    'the clock of PostgreSQL',
    ['half a minute behind', { server: up({ now: SECONDS - 30 }) }],
    ['and a second', { server: up({ now: SECONDS - 31 }) }],
    'warning clock-off (clock)',
  ),
  ...sides(
    'the first moment of this program',
    ['is no time long past', major(16, '2026-01-01T00:00:00Z')],
    ['before it', major(16, '2025-12-31T23:59:59Z')],
    'warning clock-off (clock)',
  ),
  {
    name: 'a password that expires in a second has not yet; that it differs from the manifest is told',
    told: expires(SECONDS + 1),
    finds: [`warning manifest-drift (role ${ROLE}) setup`],
  },
  {
    name: 'and in that second it has',
    told: expires(SECONDS),
    finds: [`error role-expired (${ROLE}) setup`],
  },
  ...(['hba', 'ident', 'settings'] as const).flatMap(kind => [
    ...sides(
      `a file of the kind ${kind}, changed`,
      ['at the moment of loading', file(kind, SECONDS - 60)],
      ['after it', file(kind, SECONDS - 59)],
      kind === 'settings'
        ? `warning settings-not-loaded (${HBA}) reload`
        : `warning rules-not-loaded (${HBA}) reload`,
    ),
    ...sides(
      `a file of the kind ${kind}, with the time`,
      ['that is still to come', file(kind, SECONDS + 1)],
      ['of this second', file(kind, SECONDS)],
      kind === 'settings'
        ? `warning settings-not-loaded (${HBA}) reload`
        : `warning rules-not-loaded (${HBA}) reload`,
    ),
    { name: `no file of the kind ${kind}`, told: file(kind, null), finds: [] },
  ]),
]

/** The last days of PostgreSQL's major versions, as its own site has them. */
const ENDS = { 15: '2027-11-11', 16: '2028-11-09', 17: '2029-11-08', 18: '2030-11-14' }

const VERSIONS: readonly Case[] = [
  ...Object.entries(ENDS).flatMap(([number, day]) =>
    sides(
      `PostgreSQL ${number}`,
      ['on its last day', major(Number(number), `${day}T23:59:59Z`)],
      ['in the second after', major(Number(number), new Date(Date.parse(day) + 24 * HOUR).toISOString())],
      `warning server-end-of-life (${number}.1)`,
    ),
  ),
  {
    name: 'PostgreSQL 13 has come to its end, and nobody has tried it',
    told: major(13),
    finds: ['warning server-end-of-life (13.1)', 'notice server-unsupported (13.1)'],
    says: /PostgreSQL 13 gets no corrections since 2025-11-13.*none of the versions 15 to 18.*pg_upgrade/s,
  },
  {
    name: 'PostgreSQL 19 is newer than this program',
    told: major(19),
    finds: ['notice server-unsupported (19.1)'],
    says: /look for a newer endoreg-provision/,
  },
  ...(
    [
      [15, 15, 'warning tool-version (pg_dump)', 'notice tool-version (psql)'],
      [17, 17, 'notice tool-version (psql)', 'notice tool-version (pg_dump)'],
      [16, 15, 'warning tool-version (pg_dump)'],
      [15, 16, 'notice tool-version (psql)'],
      [16, 16],
    ] as const
  ).map(([psql, dump, ...finds]) => ({
    name: `psql ${psql} and pg_dump ${dump} beside PostgreSQL 16`,
    told: { tools: tools(psql, dump) },
    finds,
  })),
  {
    name: 'an older pg_dump says what it cannot do',
    told: { tools: tools(16, 15) },
    finds: ['warning tool-version (pg_dump)'],
    says: /an older pg_dump refuses to back up a newer server.*put the programs of version 16 on the PATH/s,
  },
  {
    name: 'programs that are not on the PATH are no finding, where a backup finds them',
    told: { tools: tools(undefined) },
    finds: [],
  },
  {
    name: 'programs that are nowhere',
    told: { tools: { ...tools(undefined), pg_dump: BROKEN }, lacking: [nowhere('pg_dump'), nowhere('psql')] },
    finds: ['warning tool-missing (pg_dump)', 'notice tool-missing (psql)'],
    says: /neither in \/usr\/lib.*nor on the PATH.*can make no backup.*apt install postgresql-client-16.*by hand/s,
  },
  {
    name: 'on NixOS the units have a PATH of their own',
    told: { ...NIXOS, tools: tools(16, undefined), lacking: [nowhere('pg_dump')] },
    finds: [],
  },
]

const SESSIONS: readonly Case[] = [
  ...sides(
    'nine of ten connections',
    ['not yet', { server: up({ sessions: 89, mostSessions: 100 }) }],
    ['they are in use', { server: up({ sessions: 90, mostSessions: 100 }) }],
    'warning connections-many (PostgreSQL)',
  ),
  {
    name: 'more connections than are left for others',
    told: { server: up({ sessions: 99, mostSessions: 97 }) },
    finds: ['warning connections-many (PostgreSQL)'],
    says: /99 of 97 connections are in use.*raise max_connections/s,
  },
  {
    name: 'a standby counts its connections too',
    told: { server: up({ sessions: 97 }, { cluster: known(cluster({ inRecovery: true })) }) },
    finds: ['warning connections-many (PostgreSQL)', 'notice server-standby (PostgreSQL)'],
  },
  {
    name: "a cluster that belongs to Patroni, down: its own unit starts it, and Debian's is none of ours",
    told: {
      ...notUp('absent', undefined, 'there is no socket'),
      patroni: '/x/pg_hba.conf says that Patroni overwrites it',
      attempts: [],
    },
    finds: ['error server-down (port 5432)', 'notice server-patroni (PostgreSQL)'],
    says: /remedy: Patroni starts it: systemctl start patroni/,
  },
]

export const BOUNDARIES: readonly Case[] = [...DISKS, ...TIMES, ...VERSIONS, ...SESSIONS]
