import { readFileSync } from 'node:fs'
import { ExitCode, errnoOf, Failure } from '../errors.ts'
import type { Account } from './accounts.ts'
import { asAccount, effectiveUid } from './identity.ts'

/**
 * Does `work` with this process's rights and, where root is denied something, with those of `owner`: a unit
 * may take from root the capabilities that open other accounts' folders (CAP_DAC_OVERRIDE, CAP_FOWNER;
 * capabilities(7)), and then the owner's ids are what opens them. `work` must be synchronous, and harmless
 * to begin again.
 */
export function withRightsOf<T>(owner: Account, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (effectiveUid() !== 0 || owner.uid === 0 || !isDenied(error) || holdsRights()) throw error
    return asAccount(owner, work)
  }
}

/** CAP_DAC_OVERRIDE and CAP_FOWNER, by their numbers (linux/capability.h). */
const RIGHTS = (1n << 1n) | (1n << 3n)

/** Whether this process holds both; then the denial has another reason, and the owner would be denied as well. */
function holdsRights(): boolean {
  const [, held = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return (BigInt(`0x${held}`) & RIGHTS) === RIGHTS
}

const isDenied = (error: unknown): boolean =>
  errnoOf(error) === 'EACCES' ||
  errnoOf(error) === 'EPERM' ||
  (error instanceof Failure && error.code === ExitCode.notPermitted)
