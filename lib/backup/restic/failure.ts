import { Deadline } from '../../frame/deadline.ts'
import { ExitCode, Failure, type FailureCode } from '../../frame/failure.ts'
import { type Call, type Ended, QUICK, restic } from './program.ts'
import type { Remote } from './remote.ts'

/** One way in which restic fails. */
type Known = {
  /** restic's own exit code, from 0.17 on (restic manual, "Scripting", exit codes). */
  readonly exit?: number
  /** Where restic is older, or says no more: one of these lines. */
  readonly lines?: RegExp
  readonly code: FailureCode
  /** What to say instead of restic's line. */
  readonly cause?: string
  readonly hint: string
}

const NO_HOST_KEY = /Host key verification failed|No \S+ host key is known/
const LOCKED: Known = {
  exit: 11,
  lines: /already locked|unable to create lock.*locked/,
  code: ExitCode.tryLater,
  hint: 'Another run, maybe of another host, is at work there: run it again later. The lock of one that was killed is taken away after 30 minutes at the latest.',
}

/** From the cause to what it brings about: a line about the repository follows one about the network. */
const KNOWN: readonly Known[] = [
  {
    lines: /executable file not found/,
    code: ExitCode.unavailable,
    hint: 'Install the program that the kind of the repository needs (sftp: openssh-client; rclone: rclone).',
  },
  {
    exit: 12,
    lines: /wrong password or no key found/,
    code: ExitCode.configuration,
    cause: 'the password is not that of the repository',
    hint: 'Put the password with which the repository was made into the credential restic_password or the file of RESTIC_PASSWORD_FILE.',
  },
  LOCKED,
  {
    lines: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    code: ExitCode.configuration,
    cause: "the key of the repository's host is another one than before",
    hint: "See why before anything goes there: a new installation, or somebody in between. Then replace the key in /etc/ssh/ssh_known_hosts (or root's known_hosts).",
  },
  {
    lines: NO_HOST_KEY,
    code: ExitCode.configuration,
    cause: "ssh does not know the key of the repository's host",
    hint: 'Compare its fingerprint with the one its administrator gives, then: ssh-keyscan HOST >> /etc/ssh/ssh_known_hosts',
  },
  {
    lines: /Permission denied \((?:publickey|password|keyboard)/,
    code: ExitCode.notPermitted,
    cause: "the repository's host lets none of this host's keys in",
    hint: 'Name the key for this host in /etc/ssh/ssh_config.d (IdentityFile), readable for root, and put its public part into authorized_keys there.',
  },
  {
    lines: /x509:|certificate/,
    code: ExitCode.configuration,
    hint: 'Name the certificate of its authority: RESTIC_CACERT=FILE.',
  },
  {
    lines: /parsing repository location failed|invalid backend/,
    code: ExitCode.configuration,
    cause: 'restic does not understand the address',
    hint: 'Correct RESTIC_REPOSITORY or what is in the file of RESTIC_REPOSITORY_FILE: /folder, sftp:user@host:/folder, s3:https://host/bucket, rest:https://host/ (restic manual, "Preparing a new repository").',
  },
  {
    lines: /no space left on device|quota exceeded|not enough (?:free )?space/i,
    code: ExitCode.inputOutput,
    cause: 'there is no space left where restic writes',
    hint: 'Free some space at the repository, or in /tmp and the cache of this host (df -h).',
  },
  {
    lines:
      /Unauthorized|Forbidden|Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|permission denied|operation not permitted/i,
    code: ExitCode.notPermitted,
    hint: 'Let this host read and write there. The keys of S3 come from the file of AWS_SHARED_CREDENTIALS_FILE, those of REST from the address in the file of RESTIC_REPOSITORY_FILE; none are taken from the environment.',
  },
  {
    lines: /read-only file system/i,
    code: ExitCode.cannotCreate,
    hint: 'Remount it writable; the kernel log (dmesg) says whether a disk error made it so.',
  },
  {
    lines:
      /connection (?:refused|reset|closed|lost|timed out)|ssh command exited|no such host|could not resolve|temporary failure in name|network is unreachable|no route to host|timed? ?out|timeout|broken pipe|unexpectedly closed|unexpected EOF|unable to start the sftp session|server misbehaving|\b50\d (?:Internal|Bad|Service|Gateway)/i,
    code: ExitCode.tryLater,
    hint: 'Look at the network, the name and the port, and run it again: it goes on from what is there already.',
  },
  {
    lines:
      /repository contains errors|ciphertext verification failed|hash mismatch|does not match|invalid data returned|unable to load index|not found in (?:the )?(?:index|repository)|input\/output error/i,
    code: ExitCode.inputOutput,
    hint: 'The repository is damaged: look at the disk it is on, and do as restic\'s manual says ("Troubleshooting"), or make another one elsewhere: RESTIC_REPOSITORY=..., backup-postgres --init-remote. The backups on this host are not touched by it.',
  },
  {
    exit: 10,
    lines: /Is there a repository at the following location|unable to open config file/,
    code: ExitCode.configuration,
    cause: 'there is no repository',
    hint: 'Where it is on a disk or share, see that this is mounted (findmnt). To make a new one: backup-postgres --init-remote',
  },
  {
    lines: /unsupported repository version|unknown (?:shorthand )?flag|unknown command/,
    code: ExitCode.unavailable,
    hint: 'Install a newer restic (0.14 or later).',
  },
]

/** Whether another run has locked the repository. */
export const isLocked = (ended: Ended): boolean => recognise(ended).known === LOCKED

/** Whether ssh did not come through, and nothing says why. */
export const isUnexplained = ({ said }: Ended): boolean =>
  said.some(line => line.includes('unable to start the sftp session')) &&
  !said.some(line => /^subprocess ssh: .*\w/.test(line))

/** Whether there is no repository at the address. */
export const isMissing = (ended: Ended): boolean => recognise(ended).known?.exit === 10

/**
 * The Failure for a restic that did not do what it should.
 *
 * @param message what it was to do: "copy the backup 2026-11-25T02-00-00Z"
 */
export function explain({ shown }: Remote, ended: Ended, message: string): Failure {
  const { known, line } = recognise(ended)
  const { signal, stuck, code } = ended
  const last = line ?? `restic ended ${signal ? `by ${signal}` : `with ${code}`} and said nothing`
  const cause = known?.cause ?? tidy(last)
  const late = `nothing moved for ${Math.round((stuck ?? 0) / 1000)} s`
  return new Failure(known?.code ?? (stuck ? ExitCode.tryLater : ExitCode.inputOutput), {
    message: `${message} (${shown})`,
    cause: stuck === undefined ? cause : known ? `${late}: ${cause}` : late,
    hint: known?.hint ?? HINT,
  })
}

const HINT =
  "Look at the network, at the repository's host and its disk, and run it again: it goes on from what is there already."

/** The way it failed, and the line that says so. What was tried again counts only where nothing else was said. */
function recognise({ code, said, stuck }: Ended): { known: Known | undefined; line: string | undefined } {
  const final = said.filter(line => !(stuck === undefined ? AGAIN : STOPPED).test(line))
  for (const lines of [final, stuck === undefined ? said : []]) {
    for (const known of KNOWN) {
      const line = lines.find(candidate => known.lines?.test(candidate))
      if (line !== undefined || (known.exit !== undefined && known.exit === code)) return { known, line }
    }
  }
  return { known: undefined, line: final.filter(line => line.startsWith('Fatal:')).at(-1) ?? final[0] }
}

const AGAIN = /retrying after/
/** What restic says because it was interrupted. */
const STOPPED = /context canceled|Is there a repository|received, cleaning up/

/** Without what restic puts in front of every line. */
const tidy = (line: string): string => line.replace(/^(?:Fatal: |subprocess \w+: )+/, '').trim()

/** How often ssh gets to say why it did not come through: restic does not always wait for its words, least of all on a busy host. */
const TRIES = 10
/** Seconds for which another run's lock is waited for: as long as that of a killed run counts, and a little more. */
const LOCK_WAIT = 35 * 60
/** Milliseconds between two attempts. */
const TURN = 5000

/** Runs restic, which has to succeed. Otherwise fails with what that means. */
export async function must(remote: Remote, call: Call, message: string): Promise<Ended> {
  const ended = await patiently(remote, call)
  if (ended.code === 0) return ended
  throw explain(remote, ended, message)
}

/**
 * Runs restic; where another run holds the lock, again until it is free. A lock that nobody holds any more, because
 * its process has gone or has not renewed it for half an hour, is taken away (restic-unlock(1)).
 */
export async function patiently(remote: Remote, call: Call): Promise<Ended> {
  const { report, deadline } = remote.run
  const { clock } = deadline
  const waiting = new Deadline(LOCK_WAIT, clock)
  for (let first = true; ; first = false) {
    const ended = await spokenOut(remote, call)
    if (!isLocked(ended) || waiting.remaining() === 0) return ended
    await restic(remote, { args: ['unlock'], limit: QUICK })
    if (first) continue
    const holder = ended.said.find(line => line.includes('locked by')) ?? 'it is locked'
    report.waiting(remote.shown, holder.replace(/^.*?(?=locked by)/, ''), waiting)
    await clock.sleep(Math.min(TURN, waiting.remaining()))
  }
}

async function spokenOut(remote: Remote, call: Call): Promise<Ended> {
  for (let attempt = 1; ; attempt++) {
    const ended = await restic(remote, call)
    if (attempt === TRIES || !isUnexplained(ended)) return ended
  }
}
