import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { resolve } from 'node:path'
import pkg from '../../package.json' with { type: 'json' }
import { ExitCode, errnoOf, Failure, systemError, systemFailure } from '../frame/failure.ts'
import { describe } from '../frame/finding.ts'
import { visibleJson, visibleLines } from '../frame/output.ts'
import { scrubber } from '../frame/scrub.ts'
import type { Settings } from '../frame/settings.ts'
import { createFile, lookReplaceable } from '../host/file.ts'
import { type Folder, inFolderOf, splitPath } from '../host/folder.ts'
import { ask, type Said } from '../host/shell.ts'
import { askUnitFiles, askUnits } from '../host/units.ts'
import { filesOf } from '../server/as-postgres.ts'
import { readLog } from '../server/log.ts'
import { abandon, openPlainSession, run } from '../server/session.ts'
import type { Diagnosis } from './diagnose.ts'
import { ifKnown, toFact } from './facts/fact.ts'
import type { Facts } from './facts/gather.ts'
import { secretFilesOf, secretsIn } from './facts/passwords.ts'
import { CHAIN } from './facts/units.ts'
import { currentRole, serverSelf } from './findings/examination.ts'

/** A file of the archive. */
type Entry = { readonly name: string; readonly text: string }

/** Lines of the journal of each unit. */
const LINES = 200
/** Milliseconds for the session and its queries. */
const LIMIT = 3000

/** Everything for a ticket, without `secrets` and what looks like one. */
async function collect(facts: Facts, diagnosis: Diagnosis, secrets: readonly string[]): Promise<Entry[]> {
  const { settings } = facts
  const scrub = scrubber(secrets)
  // The diagnosis is in our own words; what it quotes of others has been through the other one.
  const scrubOurs = scrubber(secrets, secretFilesOf(settings))
  // Text by text: over the whole document, quotes of its own could hide where a secret ends.
  const json = JSON.stringify(
    diagnosis,
    (_, value: unknown) => (typeof value === 'string' ? scrubOurs(value) : value),
    2,
  )
  const entries: Entry[] = [
    { name: 'settings.txt', text: settingsText(settings) },
    { name: 'versions.txt', text: versionsText(facts) },
    ...rulesFiles(facts),
    ...(await fromServer(facts)),
    ...(await fromSystemd(facts)),
  ]
  return [
    { name: 'report.txt', text: visibleLines(scrubOurs(reportText(diagnosis))) },
    ...entries.map(({ name, text }) => ({ name, text: visibleLines(scrub(text)) })),
    { name: 'report.json', text: visibleJson(`${json}\n`) },
  ]
}

const reportText = ({ findings, right, unseen }: Diagnosis): string =>
  [
    ...findings.flatMap(describe),
    ...right.map(line => `right: ${line}`),
    ...unseen.map(line => `not looked at: ${line}`),
    '',
  ].join('\n')

const settingsText = (settings: Settings): string =>
  Object.entries(settings)
    .map(
      ([name, value]) => `${name} = ${typeof value === 'object' ? JSON.stringify(value) : (value ?? '')}\n`,
    )
    .join('')

function versionsText(facts: Facts): string {
  const { tools } = facts
  const system = toFact(() => readFileSync('/etc/os-release', 'utf8'))
  return [
    `endoreg-provision ${pkg.version}`,
    `Node.js ${process.version}`,
    `Linux ${release()}`,
    `PostgreSQL ${serverSelf(facts)?.version ?? 'not known'}; psql ${tools.psql ?? 'none'}, pg_dump ${tools.pg_dump ?? 'none'}`,
    ifKnown(system) ?? '',
  ].join('\n')
}

/** The access rules and identity maps as they are on the disk. */
function rulesFiles({ data, accounts }: Facts): Entry[] {
  const postgres = ifKnown(accounts)?.postgres
  if (!data || !postgres) return []
  const { hbaFile, identFile } = data
  const files = filesOf(postgres, [hbaFile, identFile])
  return Object.entries({ 'pg_hba.conf': hbaFile, 'pg_ident.conf': identFile }).flatMap(([name, path]) => {
    const text = toFact(() => files.read(path))
    return text.known ? [{ name, text: `# ${path}\n${text.value}` }] : []
  })
}

const SETTINGS = `SET search_path = pg_catalog;
  SELECT name, setting, source FROM pg_settings WHERE source NOT IN ('default', 'override', 'client', 'session') ORDER BY name`

async function fromServer({ server, settings, accounts, data }: Facts): Promise<Entry[]> {
  const entries: Entry[] = []
  if (server.state === 'up') {
    try {
      const client = await openPlainSession(settings, settings.adminDatabase, LIMIT)
      try {
        const [, set] = await run(client, SETTINGS, LIMIT, 'read the settings')
        const lines = (set ?? []).map(row => `${row['name']} = ${row['setting']} (${row['source']})\n`)
        entries.push({ name: 'pg_settings.txt', text: lines.join('') })
      } finally {
        abandon(client)
      }
    } catch {
      // The report says why there was no session.
    }
  }
  const postgres = ifKnown(accounts)?.postgres
  const log = postgres && data ? readLog(postgres, data) : ''
  return log === '' ? entries : [...entries, { name: 'postgresql.log', text: log }]
}

const STATE = 'Id,LoadState,ActiveState,SubState,Result,UnitFileState,DropInPaths,NRestarts'

async function fromSystemd({ systemd }: Facts): Promise<Entry[]> {
  if (!systemd) return []
  const said = async (name: string, asked: Promise<Said>): Promise<Entry> => {
    const answer = await asked
    return { name, text: answer.out ?? `${answer.why}\n` }
  }
  const journal = (unit: string): Promise<Said> =>
    ask('journalctl', '--no-pager', `--lines=${LINES}`, '--output=short-iso', `--unit=${unit}`)
  return Promise.all([
    said('units.txt', askUnitFiles(CHAIN)),
    said('unit-states.txt', askUnits(CHAIN, STATE)),
    ...CHAIN.map(unit => said(`journal/${unit}.txt`, journal(unit))),
    said('journal/postgresql-clusters.txt', journal('postgresql@*')),
  ])
}

/** The names of the files in the archive come below this one. */
const FOLDER = 'endoreg-bundle'

/**
 * Writes everything for a ticket, without its secrets, into the new file `path`, which only its owner can read.
 * Fails with 73 where something is there already, a link too.
 */
export async function writeBundle(path: string, facts: Facts, diagnosis: Diagnosis): Promise<void> {
  const verifier = currentRole(facts)?.verifier
  const secrets = [...secretsIn(facts), ...(verifier ? [verifier] : [])]
  const entries = await collect(facts, diagnosis, secrets)
  const below = entries.map(({ name, text }) => ({ name: `${FOLDER}/${name}`, text }))
  create(path, tar(below, facts.now))
}

/**
 * Looks whether the bundle `path` can be written, before all that is to be in it is gathered.
 * Fails with 73 where its folder is missing or something is there already, 77 where this account may not write there.
 */
export const requireBundlePlace = (path: string): void =>
  at(path, (folder, name) => {
    lookReplaceable(folder, name)
    if (folder.look(name)) throw systemError('EEXIST')
    folder.requireWritable()
  })

/** Without a second name for a moment (link(2)), so that it can be on a stick whose file system has none. */
const create = (path: string, bytes: Buffer): void =>
  at(path, (folder, name) => createFile(folder, name, bytes))

function at(path: string, work: (folder: Folder, name: string) => void): void {
  const whole = resolve(path)
  const message = `write the bundle ${path}`
  const refuse = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.cannotCreate, { message, cause, hint })
  try {
    const { folder } = splitPath(whole)
    const done = inFolderOf(whole, (open, name) => {
      work(open, name)
      return true
    })
    if (!done)
      throw refuse(`there is no folder ${folder}`, `Make it (mkdir -p ${folder}), or give another FILE.`)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST')
      throw refuse('there is something of that name already', 'Give another name, or take it away first.')
    throw systemFailure(error, message)
  }
}

const BLOCK = 512
/** The name's field ends there; longer ones would need an extension of the format. */
const LONGEST_NAME = 99

/** Numbers are octal digits and a NUL. */
const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`

/**
 * The entries as a tar archive in the ustar format (POSIX.1-2017, pax, "ustar Interchange Format"), regular files of
 * root for their owner only. Written here because the programs and packages for it want files on the disk, and what
 * is to be looked through for secrets should not be there before.
 */
export function tar(entries: readonly Entry[], modified: Date): Buffer {
  const parts = entries.flatMap(({ name, text }) => {
    const bytes = Buffer.from(text)
    return [
      header(name, bytes.length, modified),
      bytes,
      Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK),
    ]
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)])
}

function header(name: string, size: number, modified: Date): Buffer {
  if (Buffer.byteLength(name) > LONGEST_NAME) throw new RangeError(`${name} is too long a name`)
  const block = Buffer.alloc(BLOCK)
  const fields: readonly (readonly [offset: number, text: string])[] = [
    [0, name],
    [100, octal(0o600, 8)],
    [108, octal(0, 8)],
    [116, octal(0, 8)],
    [124, octal(size, 12)],
    [136, octal(Math.floor(modified.getTime() / 1000), 12)],
    // The sum is made with spaces in its own place.
    [148, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\x0000'],
    [265, 'root'],
    [297, 'root'],
  ]
  for (const [offset, text] of fields) block.write(text, offset)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
