import { statSync } from 'node:fs'
import type { Run } from '../../command.ts'
import { ExitCode, Failure } from '../../errors.ts'
import { readTrustedFile } from '../../trusted-file.ts'

/** The credential of the unit (systemd.exec(5), LoadCredential=) that holds the repository's password. */
const CREDENTIAL = 'restic_password'
/** Where the units get it from, and a run by hand finds it too. */
const USUAL = '/etc/secrets/restic_password'
const READABLE_BY_OTHERS = 0o004
/** What restic takes from the environment, where it has no place (environ of proc(5), and every child has it). */
const REFUSED = ['RESTIC_PASSWORD', 'RESTIC_PASSWORD_COMMAND'] as const

/**
 * The file that holds the repository's password: the credential, else RESTIC_PASSWORD_FILE, else the usual
 * one. restic reads it itself.
 * Fails with 78 where there is none, it is empty, or another account than root decides what is in it.
 */
export function findPasswordFile({ settings, report }: Pick<Run, 'settings' | 'report'>): string {
  const refused = REFUSED.filter(name => process.env[name])
  const credentials = process.env['CREDENTIALS_DIRECTORY']
  const path =
    (credentials && usable(`${credentials}/${CREDENTIAL}`)) || settings.resticPasswordFile || usable(USUAL)
  if (path === undefined) {
    throw wrong(
      refused[0]
        ? `${refused[0]} is not used: every program that is started would get it`
        : `there is no credential ${CREDENTIAL}, no RESTIC_PASSWORD_FILE, and nothing in ${USUAL}`,
      `Write the password into ${USUAL}: ${HOW.replace('FILE', USUAL)}. Another file is named by RESTIC_PASSWORD_FILE.`,
    )
  }
  if (!usable(path)) {
    throw wrong(`${path} is missing or empty`, `Write the password of the repository into it: ${HOW}.`)
  }
  for (const name of refused) report.warning(`${name} is not used: the password comes from ${path}`)
  if ((statSync(path).mode & READABLE_BY_OTHERS) !== 0) {
    report.warning(
      `every account can read ${path}, which opens the restic repository; mend it: chmod 0400 ${path}`,
    )
  }
  return path
}

const HOW = 'install -m 0400 /dev/stdin FILE'

/** `path` where there is a file with something in it. */
function usable(path: string): string | undefined {
  const text = readTrustedFile(path, "read restic's password in", true)
  return text?.trim() ? path : undefined
}

const wrong = (cause: string, hint: string): Failure =>
  new Failure(ExitCode.configuration, { message: "find the restic repository's password", cause, hint })
