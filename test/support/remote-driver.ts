import * as v from 'valibot'
import { listBackups } from '../../lib/backup/folder.ts'
import { fetchCopy, forget, listCopies } from '../../lib/backup/restic/copies.ts'
import { checkRepository, initRemote, keepCopies, push } from '../../lib/backup/restic/push.ts'
import { findRemote, type Remote } from '../../lib/backup/restic/remote.ts'
import { type Clock, Deadline, systemClock } from '../../lib/frame/deadline.ts'
import type { Run } from '../../lib/frame/run.ts'
import { makeFolder } from '../../lib/host/folder.ts'
import { script } from '../../lib/host/script.ts'

// A command of the tests' own: one piece of work on the repository of the settings, named by --work.

const WORK = {
  init: async remote => initRemote(remote),
  push: async (remote, host) => push(remote, host, listBackups(remote.run.settings).backups),
  forget: async (remote, host, value) => {
    // Only what is waited for is to be fast: restic takes its time.
    const patient = { ...remote, run: { ...remote.run, deadline: new Deadline(600, systemClock) } }
    await forget(remote, await listCopies(patient, host), Number(value), new Set())
  },
  keep: async (remote, _, value) => {
    await keepCopies(remote.run, listBackups(remote.run.settings).backups, Number(value))
  },
  check: async (remote, _, value) => checkRepository(remote, new Date(value)),
  list: async (remote, host) => JSON.stringify(await listCopies(remote, host)),
  fetch: async (remote, host, value) => {
    const copy = (await listCopies(remote, host)).at(-1)
    if (!copy) throw new Error('there is no copy')
    const folder = makeFolder(value, 0o700)
    await fetchCopy(remote, copy, folder)
    folder.close()
  },
} as const satisfies Record<string, (remote: Remote, host: string, value: string) => Promise<unknown>>

const names = v.picklist(['init', 'push', 'forget', 'keep', 'check', 'list', 'fetch'])

async function work(run: Run): Promise<string> {
  const remote = await findRemote(run)
  if (!remote) return 'no repository'
  const { values } = run
  const done = WORK[v.parse(names, values.get('work'))]
  return (await done(remote, values.get('host') ?? '', values.get('value') ?? '')) ?? run.report.tally()
}

/** A thousand times as fast: what is waited for for half an hour takes two seconds. */
const fast: Clock = {
  now: () => systemClock.now() * 1000,
  sleep: milliseconds => systemClock.sleep(milliseconds / 1000),
}

void script(
  {
    name: 'remote-driver',
    summary: '',
    runsAs: 'root',
    values: { work: ['WORK', ''], host: ['HOST', ''], value: ['VALUE', ''] },
  },
  work,
  process.env['TEST_CLOCK'] === 'fast' ? fast : systemClock,
)
