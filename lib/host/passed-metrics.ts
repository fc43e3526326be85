import * as v from 'valibot'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import { isOfRun, ofOneRun } from '../frame/metrics.ts'
import type { Run } from '../frame/run.ts'
import { readRegular } from './file.ts'
import { type Folder, inFolder } from './folder.ts'
import type { Account } from './identity.ts'
import { bytes, job } from './job.ts'
import { leave, TEMPORARY } from './metrics.ts'

/** How many files a run leaves at the most, and the bytes of each: a result, and a login for each address. */
const MOST = 32
const LARGEST = 4096

const left = v.pipe(
  v.array(v.strictObject({ name: v.string(), content: v.pipe(bytes, v.maxLength(LARGEST)) })),
  v.maxLength(MOST),
  v.readonly(),
)
type Left = v.InferOutput<typeof left>

/** What is in the folder, but for what a killed run has left half. Fails with 78 where that is nothing that a run leaves. */
const take = job('take metrics', [v.string()], left, path =>
  doing(`read ${path}`, () => inFolder(path, read) ?? []),
)

function read(folder: Folder): Left {
  const names = folder.list().filter(name => !TEMPORARY.test(name))
  if (names.length > MOST) throw refused(folder.path, `it holds more than ${MOST} files`)
  return names.map(name => {
    const refuse = (why: 'kind' | 'size'): Error =>
      refused(
        folder.path,
        `${shown(name)} is ${why === 'size' ? `larger than ${LARGEST} bytes` : 'no regular file'}`,
      )
    // A link would be refused as it is opened, without a word of what it is.
    if (!folder.look(name)?.isFile()) throw refuse('kind')
    return { name, content: readRegular(folder, name, LARGEST, refuse).bytes }
  })
}

/** Takes away what was passed on, and leaves what has been written since then. */
const forget = job('forget metrics', [v.string(), left], v.void(), (path, passed) => {
  inFolder(path, folder => {
    const present = read(folder)
    for (const { name, content } of passed) {
      const same = present.some(file => file.name === name && Buffer.compare(file.content, content) === 0)
      if (same) folder.remove(name)
    }
  })
})

/**
 * Passes on what the command that this run is of has left as `account`, in the folder `path` of its unit, to the folder of
 * the metrics, in which that account has no right: it could forge there what others say. Its folder is read with its own
 * rights; where anything in it is not what such a run leaves, nothing of it is passed on.
 *
 * @returns the line that sums up
 * Fails with 78 where it is refused.
 */
export async function passMetrics(run: Run, account: Account, path: string): Promise<string> {
  const { settings, report } = run
  if (settings.metricsDir === undefined) return 'nothing to pass on: ENDOREG_METRICS_DIR is not set'
  const found = take.as(account, path)
  const files = found.map(({ name, content }) => ({ name, text: Buffer.from(content).toString() }))
  const foreign = files.find(file => !isOfRun(file, report.command, settings.dbUser))
  if (foreign) throw refused(path, `${shown(foreign.name)} is nothing that a run of ${report.command} leaves`)
  await leave(run, ofOneRun(files, report.command))
  forget.as(account, path, found)
  return `${files.length} files of metrics passed on`
}

const shown = (name: string): string => JSON.stringify(name.slice(0, 80))

const refused = (path: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `pass on the metrics in ${path}`,
    cause,
    hint: `Nothing of them is passed on. See who has put it there (ls -la ${path}), and remove it (rm -rf ${path}/*).`,
  })
