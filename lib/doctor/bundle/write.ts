import { closeSync, constants, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { ExitCode, errnoOf, Failure, systemFailure } from '../../errors.ts'
import { inFolder, splitPath } from '../../files/folder.ts'
import { scrubber } from '../../scrub.ts'
import type { Diagnosis } from '../diagnose.ts'
import type { Facts } from '../facts/gather.ts'
import { secretsIn } from '../facts/password-files.ts'
import { collect } from './collect.ts'
import { tar } from './tar.ts'

/** The names of the files in the archive come below this one. */
const FOLDER = 'endoreg-bundle'

/**
 * Writes everything for a ticket, without its secrets, into the new file `path`, which only its owner can read.
 * Fails with 73 where something is there already, a link too.
 */
export async function writeBundle(path: string, facts: Facts, diagnosis: Diagnosis): Promise<void> {
  const entries = await collect(facts, diagnosis, scrubber(secretsOf(facts)))
  const below = entries.map(({ name, text }) => ({ name: `${FOLDER}/${name}`, text }))
  create(resolve(path), tar(below, facts.now))
}

/** What is known to be secret. */
function secretsOf(facts: Facts): string[] {
  const { server, settings } = facts
  const stored = server.state === 'up' && server.cluster.known ? server.cluster.value.roles : undefined
  const verifier = stored?.get(settings.dbUser)?.verifier
  return verifier ? [...secretsIn(facts), verifier] : secretsIn(facts)
}

function create(path: string, bytes: Buffer): void {
  const message = `write the bundle ${path}`
  const { folder: folderPath, name } = splitPath(path)
  try {
    const done = inFolder(folderPath, folder => {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
      const handle = openSync(folder.at(name), flags, 0o600)
      try {
        for (let written = 0; written < bytes.length; ) written += writeSync(handle, bytes, written)
        fsyncSync(handle)
      } catch (error) {
        rmSync(folder.at(name), { force: true })
        throw error
      } finally {
        closeSync(handle)
      }
      return true
    })
    if (!done) throw Object.assign(new Error(folderPath), { code: 'ENOENT' })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw systemFailure(error, message)
    throw new Failure(ExitCode.cannotCreate, {
      message,
      cause: 'there is something of that name already',
      hint: 'Give another name, or take it away first.',
    })
  }
}
