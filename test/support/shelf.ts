import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import {
  type Backup,
  type Description,
  type Reason,
  type SavedDatabase,
  type SavedRole,
  withDigest,
} from '../../lib/backup/terms.ts'
import { Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { Interruption } from '../../lib/frame/interruption.ts'
import { Report } from '../../lib/frame/report.ts'
import type { Run } from '../../lib/frame/run.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'

// Backups as plain values, and in folders of small files: for what is decided over them.

/** A database as a backup describes it. */
export const database = (name: string, over: Partial<SavedDatabase> = {}): SavedDatabase => ({
  name,
  file: `${name}.dump`,
  owner: 'o',
  encoding: 'UTF8',
  collate: 'C',
  ctype: 'C',
  provider: 'c',
  locale: null,
  icuRules: null,
  tablespace: 'pg_default',
  connectionLimit: -1,
  isTemplate: false,
  comment: null,
  rights: null,
  settings: [],
  extensions: [],
  tables: [],
  largeObjects: 0,
  size: 10,
  ...over,
})

/** A role as a backup describes it. */
export const savedRole = (name: string, over: Partial<SavedRole> = {}): SavedRole => ({
  name,
  superuser: false,
  inherit: true,
  createRole: false,
  createDatabase: false,
  login: true,
  replication: false,
  bypassRls: false,
  connectionLimit: -1,
  memberOf: [],
  ...over,
})

/** The kind that a backup's name says. */
const reasonIn = (name: string): Reason =>
  name.endsWith('-before-restore')
    ? 'before-restore'
    : name.endsWith('-before-reset')
      ? 'before-reset'
      : 'regular'

export function described(name: string, over: Partial<Description> = {}): Description {
  const started = name.replace(/^(.{10}T)(\d\d)-(\d\d)-(\d\d)Z.*$/, '$1$2:$3:$4.000Z')
  return {
    format: 1,
    name,
    host: 'clinic-1',
    reason: reasonIn(name),
    started,
    finished: started,
    madeBy: 'a test',
    server: { version: '15.0', major: 15, identifier: '1' },
    roles: [],
    tablespaces: [],
    databases: [],
    files: [],
    ...over,
  }
}

/** A complete backup, which need not be anywhere. */
export const backup = (name: string, over: Partial<Description> = {}): Backup => ({
  name,
  path: `/nowhere/${name}`,
  description: described(name, over),
  size: 0,
})

/** Puts a complete backup into `folder`. Without other content it has the roles only. */
export function layBackup(
  folder: string,
  name: string,
  over: Partial<Description> = {},
  content: Readonly<Record<string, Buffer | string>> = { 'globals.sql.gz': gzipSync('') },
): string {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const files = Object.entries(content).map(([file, text]) => {
    const bytes = Buffer.from(text)
    writeFileSync(join(path, file), bytes)
    return { name: file, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  })
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(described(name, { files, ...over })))
  return path
}

/** A report that also keeps what it said. */
class Heard extends Report {
  readonly warnings: string[] = []

  override warning(text: string): void {
    this.warnings.push(text)
  }
}

/** A run of no command, with these settings. */
export function aRun(
  env: Readonly<Record<string, string>>,
  given: { flags?: readonly string[]; values?: Readonly<Record<string, string>>; check?: boolean } = {},
): Run & { report: Heard } {
  const { flags = [], values = {}, check = false } = given
  return {
    settings: loadSettings({ ENDOREG_ENV_FILE: '/dev/null', ...env }, undefined),
    check,
    flags: new Set(flags),
    values: new Map(Object.entries(values)),
    report: new Heard({ command: 'a-test', check, json: false, face: 'plain' }),
    deadline: new Deadline(60, systemClock),
    interruption: new Interruption(() => {}),
  }
}

/** An empty folder that nobody else leads to or writes into, whatever the umask; gone after the test. */
export function ownFolder(t: { teardown: (work: () => unknown) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'endoreg-shelf-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Changes what the description in the folder `path` of a backup says, as a careful liar would: its digest fits. */
export function retell(path: string, edit: (told: Description) => void): void {
  const manifest = join(path, 'manifest.json')
  const { digest: _, ...told } = JSON.parse(readFileSync(manifest, 'utf8'))
  edit(told)
  writeFileSync(manifest, withDigest(told))
}
