import { Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { lastOfEach } from '../server/conf.ts'
import { explain, type Goal, type Problem } from '../server/connection-problem.ts'
import { abandon, openPlainSession, openSession, type Session } from '../server/session.ts'
import { isHere, readDisk } from './disk.ts'
import { fromLine, sorted } from './effective.ts'
import { LIMIT } from './queries.ts'
import { fromServer } from './server.ts'
import type { Configuration } from './terms.ts'

/** What was found, and why the server was not asked, where it was not. */
export type Looked = { readonly configuration: Configuration; readonly problem: Problem | undefined }

/**
 * Looks at the configuration: asks the server or, where it is down or does not let this session in, reads its files.
 * Changes nothing.
 *
 * Fails with the code for why the server cannot be asked where there are no files to read either.
 */
export async function lookAtConfiguration({ settings, deadline }: Run): Promise<Looked> {
  const goal: Goal = {
    place: `${settings.host} port ${settings.port}`,
    role: settings.adminRole,
    database: settings.adminDatabase,
    as: 'administrator',
  }
  const { adminDatabase } = settings
  const limit = (): number => Math.min(LIMIT, deadline.remaining())
  const looked = async (client: Session): Promise<Looked> => {
    try {
      client.limit(deadline)
      return { configuration: await fromServer(client, settings), problem: undefined }
    } finally {
      abandon(client)
    }
  }
  try {
    return await looked(await openPlainSession(settings, adminDatabase, limit()))
  } catch {
    // What an owner has set may end it; then without that, which cannot tell a few things of the server's command line.
  }
  let client: Session
  try {
    client = await openSession(settings, adminDatabase, limit(), LIMIT)
  } catch (error) {
    const problem = explain(error, goal)
    return { configuration: await fromFiles(settings, problem), problem }
  }
  return await looked(client)
}

async function fromFiles(settings: Settings, problem: Problem): Promise<Configuration> {
  const disk = isHere(settings) ? await readDisk(settings) : undefined
  if (!disk) throw nothingToShow(settings, problem)
  const { lines, major, ...files } = disk
  return {
    ...files,
    source: 'files',
    version: String(major),
    settings: sorted([...lastOfEach(lines).values()].map(fromLine)),
    unseen: [...files.unseen, 'the settings of databases and roles: only PostgreSQL itself knows them'],
  }
}

function nothingToShow(settings: Settings, problem: Problem): Failure {
  const here = isHere(settings)
  const why = here
    ? 'no data folder that this account may look into is where one is expected'
    : `its files are on another host, as far as PGHOST (${settings.host}) says`
  return new Failure(problem.code, {
    message: 'show the configuration of PostgreSQL',
    cause: `${problem.cause}; and ${why}`,
    hint: here ? `${problem.hint} ENDOREG_PG_DATA names the data folder.` : problem.hint,
  })
}
