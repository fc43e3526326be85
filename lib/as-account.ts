import { readSync } from 'node:fs'
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

// The other end of `delegate`, `Helpers` and `connectAs`: started with an account's ids, so it needs no right of root's.

const asked = v.strictObject({ name: v.string(), args: v.array(v.unknown()) })

/** Does the jobs on standard input, a line each and one after the other, and writes the answer to each as a line. */
function work(): void {
  // It is ready: everything is loaded. Who cannot hear that would wait for ever.
  if (writeAll(1, '\n') !== undefined) process.exit(ExitCode.inputOutput)
  for (const line of linesOfInput()) {
    if (writeAll(1, `${answerTo(line)}\n`) !== undefined) process.exit(ExitCode.inputOutput)
  }
}

function answerTo(line: string): string {
  try {
    const { name, args } = v.parse(asked, fromJson(line))
    return toJson({ result: doJob(name, args) })
  } catch (error) {
    return toJson(toAnswer(error))
  }
}

/** The lines of standard input, each once its end has come; what is left without one was not asked to its end. */
function* linesOfInput(): Generator<string> {
  const chunk = Buffer.alloc(65_536)
  const decoder = new TextDecoder()
  let text = ''
  for (let count = readSync(0, chunk); count > 0; count = readSync(0, chunk)) {
    const lines = (text + decoder.decode(chunk.subarray(0, count), { stream: true })).split(GO)
    text = lines.pop() ?? ''
    yield* lines
  }
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
