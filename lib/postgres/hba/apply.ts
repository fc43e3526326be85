import type pg from 'pg'
import { ExitCode, Failure } from '../../errors.ts'
import { restoreAccessFile, rewriteAccessFile } from '../../files/access-file.ts'
import type { Account } from '../../files/accounts.ts'
import { Overtaken } from '../../files/vault-plan.ts'
import { ask } from '../statement-failure.ts'
import { splitBlock } from './block.ts'
import type { Rewrite } from './desired.ts'
import { parseIdent } from './ident.ts'
import { type AccessFiles, inspectAccessFiles } from './inspect.ts'

/** Where and with whose rights the files are written. */
export type Writing = {
  readonly client: pg.Client
  readonly owner: Account
  /** Milliseconds a statement gets. */
  readonly limit: number
}

type FileProblem = { readonly path: string; readonly line: number; readonly error: string }

/**
 * What PostgreSQL does not take in its files as they are now, loaded or not. A rule that it loads although it
 * can match nothing (hostssl without TLS) has an error there as well, but a type (pg_hba_file_rules, hbafuncs.c).
 * Its opinion of identity maps can be asked since 15; before, the parser's has to do.
 */
async function findProblem({ client, limit }: Writing): Promise<FileProblem | undefined> {
  const access = await inspectAccessFiles(client, limit)
  const look = async (path: string, view: string, sound: string): Promise<FileProblem | undefined> => {
    const [rows] = await ask(
      client,
      `SELECT line_number AS line, error FROM ${view} WHERE error IS NOT NULL AND ${sound} IS NULL`,
      limit,
      `look for errors in ${path}`,
    )
    const [first] = rows ?? []
    return first && { path, line: Number(first['line']), error: String(first['error']) }
  }
  const rules = await look(access.hba.path, 'pg_hba_file_rules', 'type')
  if (rules || !access.ident.exists) return rules
  if (access.major >= 15) return look(access.ident.path, 'pg_ident_file_mappings', 'map_name')
  return parseProblem(access)
}

function parseProblem({ ident, major }: AccessFiles): FileProblem | undefined {
  const files = { read: () => ident.bytes.toString('utf8'), list: () => [] }
  const [first] = parseIdent(ident.path, files, major).errors
  return first && { path: first.file, line: first.line, error: first.message }
}

/**
 * Writes what is due of the two files, and asks PostgreSQL whether either has errors then; if so, puts back what
 * was there. Nothing of it is in force before `reload`.
 *
 * @param due first what the other one refers to; without errors before, as `refuseFaulty` sees to it
 * Fails with 78 where PostgreSQL finds an error. Throws Overtaken where somebody else writes them.
 */
export async function writeAccess(due: readonly Rewrite[], writing: Writing): Promise<void> {
  const written: Rewrite[] = []
  const restore = (): void => {
    for (const { path, before, after } of written.reverse())
      restoreAccessFile(writing.owner, path, before, after)
  }
  try {
    for (const rewrite of due) {
      rewriteAccessFile(writing.owner, rewrite.path, rewrite.before, rewrite.after)
      written.push(rewrite)
    }
    const problem = await findProblem(writing)
    if (problem)
      throw faulty(problem, 'would have an error with the declared lines, so it is as it was again')
  } catch (error) {
    restore()
    throw error
  }
}

/**
 * Looks for errors in the files as they are. Where it is in our own block, a run was killed between writing and
 * asking: then takes the block out, and throws Overtaken for a new plan.
 *
 * Fails with 78 where somebody else's line has an error.
 */
export async function refuseFaulty(current: readonly Rewrite[], writing: Writing): Promise<void> {
  const problem = await findProblem(writing)
  if (!problem) return
  for (const { path, before } of current) {
    const { rest, lines } = splitBlock(before.toString('latin1'))
    if (path !== problem.path || !lines.has(problem.line)) continue
    rewriteAccessFile(writing.owner, path, before, Buffer.from(rest, 'latin1'))
    throw new Overtaken(faulty(problem, 'has an error in the declared lines, which are taken out again'))
  }
  throw faulty(problem, 'has an error, so PostgreSQL would load nothing of it, and would not even start')
}

const faulty = ({ path, line, error }: FileProblem, what: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `bring the access rules to the declared state`,
    cause: `${path} ${what}: line ${line}: ${error}`,
    hint: 'Correct that line, in the file or in the manifest, and run it again. What is loaded stays in force meanwhile.',
  })
