import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { table } from '../../frame/table.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { listBackups } from '../folder.ts'
import { listCopies } from '../restic/copies.ts'
import { requireRemote } from '../restic/remote.ts'
import { type Backup, isAhead, lackedBy } from '../terms.ts'

/** Shows the backups of this host, the newest first. */
export function listHere({ settings, report }: Run, now = new Date()): string {
  const { backups, unusable } = listBackups(settings)
  const newestFirst = [...backups].reverse()
  report.show({
    text: width =>
      table(
        ['BACKUP', 'AGE', 'SIZE', 'DATABASES', 'POSTGRESQL', 'WITHOUT'],
        newestFirst.map(backup => row(backup, now)),
        width,
      ).join('\n'),
    keys: { backups: newestFirst.map(toDocument) },
  })
  for (const { name, description } of newestFirst) {
    const omitted = description.omitted ?? []
    if (omitted.length > 0)
      report.note(`${name} is without what pg_dump does not save: ${omitted.join('; ')}`)
  }
  for (const { name, why } of unusable) {
    report.warning(`${settings.backupDir}/${name} is no complete backup: ${why}`)
  }
  return `${count(backups.length, 'complete backup')} in ${settings.backupDir}`
}

function row(backup: Backup, now: Date): string[] {
  const { name, size, description } = backup
  const { finished, databases, server } = description
  const seconds = (now.getTime() - Date.parse(finished)) / 1000
  return [
    name,
    isAhead(backup, now.getTime()) ? 'in the future' : durationText(seconds),
    bytesText(size),
    String(databases.length),
    server.version,
    lackedBy(backup).join(', '),
  ]
}

const toDocument = ({ name, path, size, description }: Backup): object => ({
  name,
  path,
  size,
  reason: description.reason,
  host: description.host,
  finished: description.finished,
  postgresql: description.server.version,
  databases: description.databases.map(database => database.name),
  unread: description.unread ?? [],
  omitted: description.omitted ?? [],
})

/** Shows the copies of the backups of `host` in restic's repository, the newest first. */
export async function listThere(run: Run, host: string): Promise<string> {
  const remote = await requireRemote(run)
  const copies = [...(await listCopies(remote, host))].reverse()
  run.report.show({
    text: width =>
      table(
        ['BACKUP', 'HOST', 'SNAPSHOT'],
        copies.map(({ name, host: its, snapshot }) => [name, its, snapshot.slice(0, 8)]),
        width,
      ).join('\n'),
    keys: { backups: copies },
  })
  return `${copies.length === 0 ? 'no copies' : copies.length === 1 ? '1 copy' : `${copies.length} copies`} of backups of ${host} in ${remote.shown}`
}
