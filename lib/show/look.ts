import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { ACCESS_QUERY, inspectAccessFiles } from '../server/access/inspect.ts'
import { writeClients, writeToken, written } from '../server/access/render.ts'
import type { Mapping as AccessMapping, Rule as AccessRule } from '../server/access/rules.ts'
import { lastOfEach } from '../server/conf.ts'
import { explain } from '../server/connection-problem.ts'
import { administratorGoal, type Problem } from '../server/connection-terms.ts'
import { newerFiles, served, servedQuery } from '../server/look.ts'
import { IS_FILE_ERROR } from '../server/reload.ts'
import { abandon, ask, openPlainSession, openSession, PINNED, type Session } from '../server/session.ts'
import { literal } from '../server/sql.ts'
import { isHere, readDisk } from './disk.ts'
import { askSettings, CHANGED, effectiveSettings, fromLine, sorted } from './effective.ts'
import type { Configuration, FileView, Mapping, Mistake, Places, Rule } from './terms.ts'

/** Milliseconds that a message gets. */
const LIMIT = 5000

/** What was found, and why the server was not asked, where it was not. */
type Looked = { readonly configuration: Configuration; readonly problem: Problem | undefined }

/**
 * Looks at the configuration: asks the server or, where it is down or does not let this session in, reads its files.
 * Changes nothing.
 *
 * Fails with the code for why the server cannot be asked where there are no files to read either.
 */
export async function lookAtConfiguration({ settings, deadline }: Run): Promise<Looked> {
  const { adminDatabase: database } = settings
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
    return await looked(await openPlainSession(settings, database, limit()))
  } catch {
    // What an owner has set may end it; then without that, which cannot tell a few things of the server's command line.
  }
  let client: Session
  try {
    client = await openSession(settings, database, limit(), LIMIT)
  } catch (error) {
    const problem = explain(error, administratorGoal(settings))
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
    unseen: [
      ...files.unseen,
      'the settings of databases and roles: only PostgreSQL itself knows them',
      'errors in access rules and identity maps, and what these include: only PostgreSQL itself knows them',
    ],
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

/**
 * The configuration that a server works with, as far as it shows it to the role of this session. The files are read
 * through the session of a superuser, else on this host.
 */
async function fromServer(client: Session, settings: Settings): Promise<Configuration> {
  const { adminDatabase: database, adminRole: role } = settings
  // A search path could put other functions in place of PostgreSQL's, and a server's time for statements may be short:
  // set in the session only now, so that what it was before can still be seen.
  const pins = CHANGED.map(name => `SET ${name} = ${literal(PINNED[name])}`)
  await ask(client, pins.join('; '), LIMIT, 'begin to look at PostgreSQL')
  // First: only then PostgreSQL compares the files with what it has loaded.
  const rows = await permitted(askFiles(client))
  const { settings: found, catalog } = await askSettings(client, LIMIT)
  const seen = (name: string): string | null => found.find(row => row.name === name)?.value ?? null
  const access = rows && (await permitted(readThroughSession(client)))
  const { places, ...view } = access
    ? { ...access, lines: [], unseen: [], places: NOWHERE }
    : await readOnHost(settings, role)
  // What the server says about its settings counts more than what is read here.
  const { lines, mistakes } = rows ? fromRows(rows, view.mistakes) : view
  const hidden = seen('config_file') === null ? [whatIsHidden(role)] : []
  return {
    source: 'server',
    version: client.version,
    places: {
      data: seen('data_directory') ?? places.data,
      settings: seen('config_file') ?? places.settings,
      hba: seen('hba_file') ?? places.hba,
      ident: seen('ident_file') ?? places.ident,
    },
    settings: effectiveSettings(found, { session: { database, role }, catalog, lines }),
    mistakes,
    rules: view.rules,
    maps: view.maps,
    newer: view.newer,
    unseen: [...hidden, ...view.unseen],
  }
}

/** What PostgreSQL makes of its files of access rules, and which files are newer than what it has loaded. */
async function readThroughSession(client: Session): Promise<Omit<FileView, 'lines' | 'unseen'>> {
  const query = `${ACCESS_QUERY}; SELECT json_build_object(${servedQuery(client.major)}) AS served`
  const [answer, [row] = []] = await ask(client, query, LIMIT, 'read the access rules')
  const access = await inspectAccessFiles(client, LIMIT, answer)
  const { hba, serverError, ruleErrors, mappingErrors } = access
  const said = v.parse(v.strictObject(served), row?.['served'])
  const missing: Mistake = { in: 'rules', file: hba.path, line: null, message: 'No such file or directory' }
  return {
    rules: hba.exists ? access.rules.map(toRule) : undefined,
    maps: access.mappings.map(toMapping),
    mistakes: [
      ...(hba.exists ? [] : [missing]),
      ...ruleErrors.map((error): Mistake => ({ in: 'rules', ...error })),
      ...mappingErrors.map((error): Mistake => ({ in: 'maps', ...error })),
    ],
    // With an error in the settings PostgreSQL does not say when it has loaded what.
    newer: serverError === undefined ? newerFiles(said, 'settings', 'hba', 'ident') : [],
  }
}

const toRule = ({ file, line, type, databases, roles, clients, method, options }: AccessRule): Rule => ({
  file,
  line,
  type,
  databases: databases.map(writeToken),
  roles: roles.map(writeToken),
  address: clients ? writeClients(clients) : null,
  method,
  options,
})

const toMapping = ({ file, line, map, account, role }: AccessMapping): Mapping => ({
  file,
  line,
  map: written(map),
  account: writeToken(account),
  role: writeToken(role),
})

const fileRow = v.object({
  file: v.nullable(v.string()),
  line: v.nullable(v.number()),
  name: v.nullable(v.string()),
  value: v.nullable(v.string()),
  /** Whether it is not in force: it waits for a restart, or there is an error. */
  refused: v.boolean(),
  error: v.nullable(v.string()),
})
type FileRow = v.InferOutput<typeof fileRow>

/** What the files say now (pg_file_settings), for superusers. */
async function askFiles(client: Session): Promise<readonly FileRow[]> {
  const [rows] = await ask(
    client,
    `SELECT sourcefile AS file, sourceline AS line, name, setting AS value, error IS NOT NULL AS refused,
            CASE WHEN ${IS_FILE_ERROR} THEN error END AS error
       FROM pg_file_settings AS f ORDER BY seqno`,
    LIMIT,
    'read the settings in the files',
  )
  return v.parse(v.array(fileRow), rows)
}

/** The rows of pg_file_settings, and what was found out about the other files. */
function fromRows(
  rows: readonly FileRow[],
  others: readonly Mistake[],
): Pick<FileView, 'lines' | 'mistakes'> {
  const lines = rows.flatMap(({ file, line, name, value, refused }) =>
    file === null || line === null || name === null
      ? []
      : [{ file, line, name, value: value ?? '', refused }],
  )
  const mistakes = rows.flatMap(({ file, line, name, value, error }): Mistake[] => {
    if (error === null) return []
    return [{ in: 'settings', file, line, message: name === null ? error : `${error}: ${name} = '${value}'` }]
  })
  return { lines, mistakes: [...mistakes, ...others.filter(mistake => mistake.in !== 'settings')] }
}

const NOWHERE: Places = { data: null, settings: null, hba: null, ident: null }

const whatIsHidden = (role: string): string =>
  `some settings, and in which file a setting is: PostgreSQL shows them to superusers and members of pg_read_all_settings, and ${role} is neither`

/** The files where the session is no superuser's: of a server on another host there are none to read. */
async function readOnHost(settings: Settings, role: string): Promise<FileView & { readonly places: Places }> {
  const disk = isHere(settings) ? await readDisk(settings) : undefined
  if (disk) return disk
  const why = isHere(settings)
    ? 'no data folder that this account may look into is where one is expected (ENDOREG_PG_DATA names it)'
    : `${settings.host} may be another host`
  return {
    lines: [],
    rules: undefined,
    maps: undefined,
    mistakes: [],
    newer: [],
    unseen: [
      `the files, with access rules and identity maps: PostgreSQL does not show them to ${role}, and ${why}`,
    ],
    places: NOWHERE,
  }
}

/** What `asking` gives, or undefined where this role may not ask. */
async function permitted<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking
  } catch (error) {
    if (error instanceof Failure && error.code === ExitCode.notPermitted) return undefined
    throw error
  }
}
