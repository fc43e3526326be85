import type { Run } from '../../command.ts'
import { ExitCode, Failure } from '../../errors.ts'
import { type Account, account } from '../../files/accounts.ts'
import { readBytes } from '../../files/configuration-file.ts'
import { Overtaken } from '../../files/vault-plan.ts'
import { writeAccess } from '../../postgres/hba/apply.ts'
import { inSession } from '../../postgres/in-session.ts'
import { LIMIT, reloadServer } from './server.ts'
import { type Remedy, subjects } from './terms.ts'

/** A local rule on a line of its own: `trust` at the end but for a comment. */
const LOCAL_TRUST = /^(\s*local\s+\S+\s+\S+\s+)trust(\s*(?:#.*)?)$/

/**
 * Lets the rule say peer: the account postgres, and root through it, get in as before, and nobody else. Only to take
 * it out could shut the administration out, where no other rule is for it.
 */
async function replaceTrust(run: Run, place: string, owner: Account): Promise<void> {
  const cut = place.lastIndexOf(':')
  const [path, line] = [place.slice(0, cut), Number(place.slice(cut + 1))]
  const text = readBytes.as(owner, path)
  const mended = sayPeer(text, line)
  if (mended === undefined) throw refuse(place, 'the line is not as simple as it has to be for that')
  const rewrite = { path, before: Buffer.from(text, 'latin1'), after: Buffer.from(mended, 'latin1') }
  try {
    await inSession(run, run.settings.adminDatabase, LIMIT, client =>
      writeAccess([rewrite], { client, owner, limit: LIMIT }),
    )
  } catch (error) {
    if (error instanceof Overtaken) throw refuse(place, 'somebody else changed it meanwhile')
    throw error
  }
  run.report.change({ resource: `access rule ${place}`, action: 'say peer instead of trust' })
}

/** The text with peer for trust in that line; undefined where the line is not as simple as that. */
export function sayPeer(text: string, line: number): string | undefined {
  const lines = text.split('\n')
  const [, rule, rest] = LOCAL_TRUST.exec(lines[line - 1] ?? '') ?? []
  if (rule === undefined) return undefined
  lines[line - 1] = `${rule}peer${rest ?? ''}`
  return lines.join('\n')
}

const refuse = (place: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `take trust out of ${place}`,
    cause,
    hint: 'Change the line by hand, and reload PostgreSQL.',
  })

export const trustRule: Remedy = {
  fix: 'trust-rule',
  does: findings => `say peer instead of trust: ${subjects(findings)}`,
  apply: async (run, findings) => {
    const keeper = account(run.settings.postgresAccount, 'ENDOREG_PG_OS_USER')
    for (const { subject } of findings) await replaceTrust(run, subject, keeper)
    await reloadServer(run)
  },
}
