import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { isAnswer, statementFailure } from '../../server/problem.ts'
import { ask, type Session, run as send } from '../../server/session.ts'
import { dollarQuoted, identifier, literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'
import { withBackupFile } from '../folder.ts'
import { type Backup, GLOBALS, type SavedRole } from '../terms.ts'
import { settingsOfAll } from './sql.ts'

/** What stands between two statements: white space, comments, and commands to psql, which need none of their own here. */
const BETWEEN = /(?:\s+|--[^\n]*|\\[^\n]*)*/y
/**
 * A piece of a statement: an E string, whose backslashes escape; a string or a name, whose quotes are doubled; or
 * anything else but the semicolon that ends it.
 */
const PIECE = /\bE'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^;'"E]+|E/gy

/**
 * The statements in what pg_dumpall(1) writes, without their semicolons. It begins with setting
 * standard_conforming_strings, and quotes nothing with dollars.
 *
 * Fails with a SyntaxError where the text ends within a statement.
 */
export function splitStatements(text: string): string[] {
  const statements: string[] = []
  let at = 0
  for (;;) {
    BETWEEN.lastIndex = at
    at += BETWEEN.exec(text)?.[0].length ?? 0
    if (at === text.length) return statements
    const start = at
    PIECE.lastIndex = at
    for (let piece = PIECE.exec(text); piece; piece = PIECE.exec(text)) at = PIECE.lastIndex
    if (text[at] !== ';') throw new SyntaxError(`the statement at character ${start} has no end`)
    statements.push(text.slice(start, at))
    at++
  }
}

/** A name, as a group of a regular expression. */
const NAME = '("(?:[^"]|"")*"|[^\\s";,]+)'
const ABOUT_ROLE = new RegExp(`^(?:ALTER|CREATE|COMMENT ON) ROLE ${NAME}`)
const MEMBERSHIP = new RegExp(`^GRANT ${NAME} TO ${NAME}`)

/** The role that a statement of pg_dumpall's is about; of a membership the member; undefined where it is about none. */
export function roleOf(statement: string): string | undefined {
  const quoted = ABOUT_ROLE.exec(statement)?.[1] ?? MEMBERSHIP.exec(statement)?.[2]
  return quoted?.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted
}

/** What a statement does and to what, for a message: no text that is quoted as a string. */
export const headOf = (statement: string): string =>
  (ABOUT_ROLE.exec(statement) ?? MEMBERSHIP.exec(statement))?.[0] ??
  statement.split(/'/, 1)[0]?.slice(0, 80).trim() ??
  ''

/** The role whose verifier comes from the vault, and not from the backup. */
export type Managed = {
  readonly role: string
  /** Called where it had gone, before it is there again: without a password. */
  readonly made: () => void
}

/** What is done with what the backup says about roles and tablespaces. */
export type Globals = {
  readonly statements: readonly string[]
  /** The roles that get all they had; the others stay as they are. */
  readonly roles: readonly string[]
  readonly incomplete: readonly string[]
}

/**
 * Reads the statements about roles and tablespaces. Fails with 74 where they are damaged.
 *
 * @param roles the roles that get all they had, where the others are to stay as they are
 */
export async function readGlobals(
  backup: Backup,
  roles: readonly string[] | undefined,
  incomplete: readonly string[],
): Promise<Globals> {
  const all = await withBackupFile(backup, GLOBALS, async handle => parse(backup, readFileSync(handle)))
  // Roles and tablespaces are there already, and the session has its own settings.
  const statements = all.filter(statement => !/^(?:SET|CREATE ROLE) /.test(statement)).map(ownTablespace)
  if (roles === undefined) {
    const { settings } = backup.description
    if (settings) statements.push(...settingsOfAll(settings))
    const names = backup.description.roles.map(({ name }) => name)
    return { statements, roles: names, incomplete }
  }
  return {
    statements: statements.filter(statement => roles.includes(roleOf(statement) ?? '')),
    roles,
    incomplete,
  }
}

const TABLESPACE = new RegExp(`^CREATE TABLESPACE ${NAME} OWNER ${NAME} LOCATION [\\s\\S]*`)

/** For the statement that creates a tablespace, which is there, the one that gives it to its owner. */
const ownTablespace = (statement: string): string =>
  statement.replace(TABLESPACE, 'ALTER TABLESPACE $1 OWNER TO $2')

function parse(backup: Backup, bytes: Buffer): string[] {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(gunzipSync(bytes))
    return splitStatements(text)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw new Failure(ExitCode.inputOutput, {
      message: `read ${backup.path}/${GLOBALS}`,
      cause: `it is damaged: ${error.message}`,
      hint: 'Take another backup with --backup NAME, and look at the health of the disk (dmesg).',
    })
  }
}

/** The password in what pg_dumpall(1) writes of a role (dumpRoles() of pg_dumpall.c): what stands before it has no string. */
const VERIFIER = new RegExp(`^(ALTER ROLE ${NAME} WITH [^'"]*?) PASSWORD '[^']*'`)

/** `globals` without the roles' verifiers, where they have no business. */
export const withoutVerifiers = (globals: Globals): Globals => ({
  ...globals,
  statements: globals.statements.map(statement => statement.replace(VERIFIER, '$1')),
})

/**
 * Gives roles what they had, in the transaction of `client`, which has to be silent: verifiers are among it.
 *
 * @param managed the role whose verifier comes from the vault: it keeps the one that it has, or has none
 * @returns what PostgreSQL refused to give a role: rights and memberships
 * Fails with 78 where the administrative role would be no superuser any more.
 */
export async function applyGlobals(
  client: Session,
  { statements, roles, incomplete }: Globals,
  managed: Managed | undefined,
): Promise<readonly string[]> {
  const doing = 'restore the roles'
  const keep = managed && roles.includes(managed.role) ? managed.role : undefined
  const verifier = keep === undefined ? undefined : await verifierOf(client, keep)
  for (const name of roles) await ask(client, `ALTER ROLE ${identifier(name)} RESET ALL`, LIMIT, doing)
  for (const name of incomplete)
    await ask(client, `COMMENT ON ROLE ${identifier(name)} IS NULL`, LIMIT, doing)
  const refused: string[] = []
  for (const statement of statements) {
    const state = await execute(client, statement)
    if (state !== undefined) refused.push(`${headOf(statement)} (${state})`)
  }
  if (keep !== undefined && verifier !== undefined) {
    if (incomplete.includes(keep)) managed?.made()
    await ask(
      client,
      `ALTER ROLE ${identifier(keep)} PASSWORD ${verifier === null ? 'NULL' : dollarQuoted(verifier)}`,
      LIMIT,
      doing,
    )
  }
  await requireSuperuser(client)
  return refused
}

async function verifierOf(client: Session, role: string): Promise<string | null> {
  const query = `SELECT rolpassword AS verifier FROM pg_authid WHERE rolname = ${literal(role)}`
  const [row] = await select(client, query, `look at the password of the role ${role}`)
  return typeof row?.['verifier'] === 'string' ? row['verifier'] : null
}

/** Without its attributes a role is not restored; a newer PostgreSQL may refuse rights that an older one gave. */
const NEEDED = /^ALTER ROLE (?:"(?:[^"]|"")*"|[^\s"]\S*) WITH /

/** Whether a restore does not go on where PostgreSQL refuses `statement`. */
export const isNeeded = (statement: string): boolean => NEEDED.test(statement)

/**
 * Executes a statement about roles. What PostgreSQL says of one that fails may have a verifier in it.
 *
 * @returns the SQLSTATE where it was refused
 */
async function execute(client: Session, statement: string): Promise<string | undefined> {
  const doing = `restore the roles: ${headOf(statement)}`
  await ask(client, 'SAVEPOINT statement', LIMIT, doing)
  try {
    await send(client, statement, LIMIT, doing)
  } catch (error) {
    if (!isAnswer(error)) throw statementFailure(error, doing)
    if (isNeeded(statement)) {
      throw new Failure(ExitCode.cannotCreate, {
        message: doing,
        cause: `PostgreSQL answered ${error.code}`,
        hint: 'The appendix of the PostgreSQL manual about error codes says what that means; nothing was replaced.',
      })
    }
    await ask(client, 'ROLLBACK TO statement', LIMIT, doing)
    return error.code ?? 'an error'
  }
  await ask(client, 'RELEASE statement', LIMIT, doing)
  return undefined
}

async function requireSuperuser(client: Session): Promise<void> {
  const query = 'SELECT rolsuper AND rolcanlogin AS administrator FROM pg_roles WHERE rolname = current_user'
  const [row] = await select(client, query, 'restore the roles')
  if (row?.['administrator'] === true) return
  throw new Failure(ExitCode.configuration, {
    message: 'restore the roles',
    cause: 'in this backup the administrative role is no superuser that can log in: nothing was replaced',
    hint: 'Set PGUSER to the superuser that the backup was made with, or restore databases one by one: --database NAME',
  })
}

/** The comment of a role that was made for a restore which has not come to its end. */
const UNFINISHED = 'endoreg-restore: made for a restore that has not ended'

/**
 * Creates the roles of the backup that are missing, so that they can own things: without a login, until the restore
 * gives them all they had. One that owns an event trigger has to be a superuser from the beginning.
 *
 * @returns which of them are incomplete: just made, or by a restore that was killed
 */
export async function createMissingRoles(
  client: Session,
  roles: readonly SavedRole[],
): Promise<readonly string[]> {
  const query = "SELECT rolname AS name, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles"
  const rows = await select(client, query, 'look for the roles')
  const present = new Map(rows.map(row => [String(row['name']), row['comment']]))
  const incomplete = roles.filter(({ name }) => !present.has(name) || present.get(name) === UNFINISHED)
  for (const { name, superuser } of incomplete) {
    if (present.has(name)) continue
    const role = identifier(name)
    await ask(
      client,
      `CREATE ROLE ${role} NOLOGIN${superuser ? ' SUPERUSER' : ''}; COMMENT ON ROLE ${role} IS ${literal(UNFINISHED)}`,
      LIMIT,
      `create the role ${name}`,
    )
  }
  return incomplete.map(({ name }) => name)
}
