/** The exit codes users rely on, after sysexits.h. */
export const ExitCode = {
  done: 0,
  drift: 1,
  usage: 64,
  unavailable: 69,
  bug: 70,
  cannotCreate: 73,
  inputOutput: 74,
  tryLater: 75,
  notPermitted: 77,
  configuration: 78,
} as const

export type FailureCode = Exclude<(typeof ExitCode)[keyof typeof ExitCode], 0 | 1>

/** What the operator is told about a failure. */
type FailureText = {
  /** What was being done, and to what. */
  readonly message: string
  /** Why it failed. */
  readonly cause: string
  /** What to do about it. */
  readonly hint: string
}

/** A failure that has been understood: it ends the command with its exit code. */
export class Failure extends Error {
  readonly code: FailureCode
  readonly reason: string
  readonly hint: string

  constructor(code: FailureCode, text: FailureText) {
    super(text.message)
    this.name = 'Failure'
    this.code = code
    this.reason = text.cause
    this.hint = text.hint
  }
}

/** A file or socket error as Node.js throws it. */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException & { code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'

/** The errno name of `error` (`ENOENT`), or undefined where it has none. */
export const errnoOf = (error: unknown): string | undefined => (isSystemError(error) ? error.code : undefined)

/** An error as the system gives it, for what this program has seen itself or was told by a child. */
export const systemError = (code: string, message = code): NodeJS.ErrnoException =>
  Object.assign(new Error(message), { code })

/** FOLDER in a hint is the one that it is about, where that is known. */
const ERRNO: Readonly<Record<string, { code: FailureCode; cause: string; hint: string }>> = {
  EACCES: {
    code: ExitCode.notPermitted,
    cause: 'permission denied',
    hint: 'Run it as root, or give this account the right.',
  },
  EPERM: {
    code: ExitCode.notPermitted,
    cause: 'operation not permitted',
    hint: 'Run it as root. Where root is refused as well, look for an immutable flag (lsattr) or the hardening of the unit.',
  },
  EROFS: {
    code: ExitCode.cannotCreate,
    cause: 'the file system is mounted read-only',
    hint: 'Remount it writable (findmnt -T FOLDER says what it is); the kernel log (dmesg) says whether a disk error made it so.',
  },
  ENOSPC: {
    code: ExitCode.inputOutput,
    cause: 'no space left on the device',
    hint: 'Free some space or inodes (df -h FOLDER; df -i FOLDER) and run it again; nothing was lost.',
  },
  EDQUOT: {
    code: ExitCode.inputOutput,
    cause: 'the disk quota is used up',
    hint: 'Raise the quota (repquota FOLDER) or free some space and run it again; nothing was lost.',
  },
  EIO: {
    code: ExitCode.inputOutput,
    cause: 'the device reports an input/output error',
    hint: 'Look at the kernel log (dmesg) and the health of the disk before running it again.',
  },
  EMFILE: {
    code: ExitCode.inputOutput,
    cause: 'this process may open no more files',
    hint: 'Raise its limit (ulimit -n; LimitNOFILE= of a unit) and run it again.',
  },
  ENFILE: {
    code: ExitCode.inputOutput,
    cause: 'the system may open no more files',
    hint: 'See what holds them (lsof | wc -l), or raise the limit (sysctl fs.file-max), and run it again.',
  },
  ENOMEM: {
    code: ExitCode.inputOutput,
    cause: 'there is no memory left',
    hint: 'See what takes it (free -m), and run it again.',
  },
  EFBIG: {
    code: ExitCode.inputOutput,
    cause: 'the file would be larger than the file system or the limit of this process allows',
    hint: 'Raise the limit (ulimit -f; LimitFSIZE= of a unit), or take another file system.',
  },
  ESTALE: {
    code: ExitCode.inputOutput,
    cause: 'the server of the network file system does not know it any more',
    hint: 'Mount it again (findmnt -T FOLDER says what it is), and run it again.',
  },
  EBUSY: {
    code: ExitCode.configuration,
    cause: 'it is busy: a file or folder over which something is mounted cannot be replaced or removed',
    hint: 'See what is mounted there (findmnt). Take that mount away, or mount the folder above instead of the file.',
  },
  EISDIR: {
    code: ExitCode.configuration,
    cause: 'a folder stands in its place',
    hint: 'Move that folder away and run it again.',
  },
  ENXIO: {
    code: ExitCode.configuration,
    cause: 'it is a socket or a device without a driver, and no file',
    hint: 'Move away what is there and run it again.',
  },
  ENOENT: {
    code: ExitCode.cannotCreate,
    cause: 'no such file or folder',
    hint: 'Create it, or correct the path in the settings.',
  },
  ENOTDIR: {
    code: ExitCode.cannotCreate,
    cause: 'a part of the path is not a folder',
    hint: 'Move what stands in the way, or correct the path in the settings.',
  },
  ENAMETOOLONG: {
    code: ExitCode.configuration,
    cause: 'a name in the path is too long',
    hint: 'Correct the path in the settings: a file name has at most 230 bytes here.',
  },
  ELOOP: {
    code: ExitCode.configuration,
    cause: 'a part of the path is a link where none is followed',
    hint: 'Put the real path into the settings.',
  },
}

/**
 * What a system error met while doing `message` means; undefined for what is none. What is not in the table is told in the
 * words of strerror(3), which Node.js puts behind the name.
 */
export function explainErrno(
  error: unknown,
  message = '',
): { code: FailureCode; cause: string; hint: string } | undefined {
  if (!isSystemError(error) || error instanceof Failure) return undefined
  const words = /^E[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1]
  const { code, cause, hint } = ERRNO[error.code] ?? {
    code: ExitCode.inputOutput,
    cause: words ? `${words} (${error.code})` : `the system answered ${error.code}`,
    hint: 'Look at the kernel log (dmesg) and run it again.',
  }
  const folder = /(?:^|\s)(\/[^\s/]+(?:\/[^\s/]+)*)\/[^\s/]+$/.exec(message)?.[1]
  return { code, cause, hint: hint.replaceAll(/ FOLDER/g, folder ? ` ${folder}` : '') }
}

/**
 * The Failure for a system error met while doing `message`. What is not a system error is returned as it
 * is: it is a bug, or a Failure already.
 */
export function systemFailure(error: unknown, message: string): unknown {
  const known = explainErrno(error, message)
  return known ? new Failure(known.code, { message, cause: known.cause, hint: known.hint }) : error
}

/** Why something failed, in words, for a sentence that goes on without it. */
export function reasonOf(error: unknown): string {
  if (error instanceof Failure) return error.reason
  return explainErrno(error)?.cause ?? (error instanceof Error ? error.message : String(error))
}

/** Runs `work`; a system error in it becomes a Failure that says `message`. */
export function doing<T>(message: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw systemFailure(error, message)
  }
}

/** Thrown while a plan is applied, where another process has changed what it was made from: look again, and plan again. */
export class PlanOutdated extends Error {
  /** What to fail with where that does not help either. */
  readonly failure: unknown

  constructor(failure?: unknown) {
    super('another process was there first')
    this.failure = failure
  }
}
