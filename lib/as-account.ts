import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import * as v from 'valibot'
import { ExitCode } from './frame/failure.ts'
import { startedForRoot } from './host/identity.ts'
import { doJob } from './host/job.ts'

// Every module that declares a job.
import './doctor/facts/accounts.ts'
import './host/configuration-file.ts'
import './host/file.ts'
import './host/metrics.ts'
import './host/passed-metrics.ts'
import './provision/apply-access.ts'
import './provision/checkout.ts'
import './provision/checkout-files.ts'
import './provision/copies.ts'
import './provision/rotation-journal.ts'
import './provision/strays.ts'
import './provision/vault.ts'
import './provision/vault-plan.ts'
import './reset/configured.ts'
import './reset/folders.ts'
import './reset/make.ts'
import './server/as-postgres.ts'
import './server/clusters.ts'
import './server/log.ts'
import { writeAll } from './frame/output.ts'
import { fromJson, GO, toAnswer, toJson } from './host/as-account.ts'

// The other end of `delegate` and `connectAs`: started with an account's ids, so it needs no right of root's.

const asked = v.strictObject({ name: v.string(), args: v.array(v.unknown()) })

/** Does the job on standard input, at its end, and writes its answer to standard output. */
function work(): void {
  // It is ready: everything is loaded. Who cannot hear that would wait for ever.
  if (writeAll(1, '\n') !== undefined) process.exit(ExitCode.inputOutput)
  const text = readFileSync(0, 'utf8')
  if (!text.endsWith(GO)) return
  let answer: string
  try {
    const { name, args } = v.parse(asked, fromJson(text))
    answer = toJson({ result: doJob(name, args) })
  } catch (error) {
    answer = toJson(toAnswer(error))
  }
  writeAll(1, answer)
}

/** Connects to the socket file `path` and passes the connection on to the parent. */
function passConnection(path: string): void {
  const socket = connect(path)
  socket.once('error', error => process.send?.(toAnswer(error), () => process.exit()))
  socket.once('connect', () => process.send?.('connected', socket, {}, () => process.exit()))
}

process.umask(0o022)
startedForRoot()
const [, , task, path = ''] = process.argv
if (task === 'connect') passConnection(path)
else work()
