import { hostname } from 'node:os'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import { describeCluster, describeDatabases, inspectContents, LIMIT } from '../describe.ts'
import { type Backup, isInPlace, isRestoring, type SavedDatabase } from '../terms.ts'
import { listArchive, type Source, tablespacesIn } from './archive.ts'
import { listBound, listWorkers, refuseBound } from './databases.ts'
import { inspectServer, type Needy, refuseServer, requireLocales, requireSpace } from './requirements.ts'

/** What a restore would meet. */
export type Preview = {
  /** The server's. */
  readonly major: number
  /** pg_control's, which tells this cluster from every other one. */
  readonly identifier: string
  /** The databases there are, and their sizes in bytes; 0 where nobody can connect. */
  readonly present: ReadonlyMap<string, number>
  readonly tablespaces: readonly string[]
  /** Those of them that would not be what they are any more. */
  readonly overwritten: readonly string[]
  /** The background workers in them. */
  readonly workers: readonly string[]
}

/**
 * Inspects the server that `databases` of `backup` are to be restored into. Fails with 74 where there is no space
 * for them, 75 where something keeps a database from being replaced, 78 where this is no server for this backup, or
 * something bound to a database would be lost.
 */
export async function inspectBefore(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
): Promise<Preview> {
  return inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const { server, tablespaces } = await describeCluster(client)
    const { major, identifier } = server
    const source = { run, backup, major }
    const gone = backup.description.tablespaces.filter(name => !tablespaces.includes(name))
    const needy: Needy[] = []
    for (const saved of databases) {
      const used = gone.length > 0 ? await tablespacesIn(source, saved) : new Set()
      needy.push({ ...saved, tablespaces: gone.filter(name => used.has(name)) })
    }
    const names = databases.map(({ name }) => name)
    const facts = { major, tablespaces, ...(await inspectServer(client, names)) }
    const warn = (text: string): void => run.report.warning(text)
    refuseServer(backup, needy, facts, run.values.has('yes-incomplete') ? warn : undefined)
    const beside = databases.filter(({ name }) => !isInPlace(name))
    await requireLocales(client, beside)
    const listed = await describeDatabases(client)
    const present = new Map(listed.map(({ part, isOpen }) => [part.name, isOpen ? part.size : 0]))
    await requireSpace(run, client, beside)
    const overwritten: string[] = []
    for (const saved of databases.filter(({ name }) => present.has(name))) {
      if (!isInPlace(saved.name) || (await isUsed(source, saved))) overwritten.push(saved.name)
    }
    refuseBound(await listBound(client, overwritten), `restore the backup ${backup.name}`)
    const workers = await listWorkers(client, overwritten)
    return { major, identifier, tablespaces, present, overwritten, workers }
  })
}

/** Whether something in the place of which a backup is restored, where it is, has data in it. */
async function isUsed(source: Source, saved: SavedDatabase): Promise<boolean> {
  if ((await listArchive(source, saved)).length === 0) return false
  const { tables, largeObjects } = await inSession(source.run, saved.name, LIMIT, inspectContents)
  return tables.length > 0 || largeObjects > 0
}

/** Says what a restore would do, as changes in check mode. */
export function describePreview(
  run: Run,
  { name, size, description }: Backup,
  databases: readonly SavedDatabase[],
  { present, overwritten, workers }: Preview,
): void {
  const { report, check, values } = run
  const age = durationText((Date.now() - Date.parse(description.finished)) / 1000)
  report.note(
    `the backup ${name} of ${description.host} is ${age} old: ${count(description.databases.length, 'database')} of PostgreSQL ${description.server.version}, ${bytesText(size)}`,
  )
  const { omitted = [], configuration = [] } = description
  if (omitted.length > 0) report.note(`it is without what pg_dump does not save: ${omitted.join('; ')}`)
  if (configuration.length > 0) {
    report.note(
      `the server's configuration is in it to look at, and stays as it is here: ${configuration.map(({ path }) => path).join(', ')}`,
    )
  }
  if (description.host !== hostname()) report.warning(`this backup is of another host, ${description.host}`)
  for (const saved of databases) {
    const size = present.get(saved.name)
    const where = isInPlace(saved.name)
    if (where && !overwritten.includes(saved.name)) continue
    const [action, will] = where
      ? [
          `replace what has the same names in it by the backup's`,
          "the backup's replaces what has the same names in it",
        ]
      : size !== undefined
        ? [`replace by the backup's (${bytesText(size)} now)`, `will be replaced (${bytesText(size)} now)`]
        : ['create from the backup', 'will be created']
    if (check) report.change({ resource: `database ${saved.name}`, action })
    else report.note(`database ${saved.name}: ${will}`)
  }
  const others = [...present.keys()].filter(
    other => !isInPlace(other) && !isRestoring(other) && !databases.some(saved => saved.name === other),
  )
  if (others.length > 0) report.note(`not in the backup, and stay as they are: ${others.join(', ')}`)
  if (overwritten.length > 0)
    report.note('the sessions in what is replaced will be ended, those of the API too')
  if (workers.length > 0) report.warning(`background workers will be ended as well: ${workers.join('; ')}`)
  if (values.get('database') === undefined) {
    const { dbUser } = run.settings
    report.note(
      `roles get the attributes and passwords of the backup; ${dbUser} keeps the password in the vault`,
    )
  }
}
