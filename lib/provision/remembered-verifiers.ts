import { createHash } from 'node:crypto'
import { errnoOf, reasonOf, systemFailure } from '../frame/failure.ts'
import { litter, readRegular, replaceFile } from '../host/file.ts'
import { type Folder, inFolder, withFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { ownFile } from '../host/ownership.ts'

/** The one in use and the next: a run that is killed between the two has told of both. */
const REMEMBERED = 2

/** What stands before the path of the vault file, on a line of its own. */
const VAULT = 'vault '

/**
 * Which verifiers this program has set, as hashes, in the state folder: to tell a password that somebody else
 * has set from one that is only old. And in which vault file their passwords are.
 */
export class RememberedVerifiers {
  readonly #folder: string
  readonly #file: string

  /** @param cluster its identifier, since a host may have had others */
  constructor(folder: string, cluster: string) {
    this.#folder = folder
    this.#file = `verifiers.${cluster}`
  }

  /** Whether nothing is remembered; always false for an ordinary account, which the folder is not for. */
  isEmpty(): boolean {
    return effectiveUid() === 0 && this.#read().length === 0
  }

  /** The vault file that held the password the last time; undefined where none is remembered. */
  vaultFile(): string | undefined {
    return this.#lines()
      .find(line => line.startsWith(VAULT))
      ?.slice(VAULT.length)
  }

  /** Whether another vault file than `path` is remembered, or none; always false for an ordinary account. */
  isVaultElsewhere(path: string): boolean {
    return effectiveUid() === 0 && this.vaultFile() !== path
  }

  /** Whether `verifier` is none of those this program has set for `role`; false where it remembers none. */
  isForeign(role: string, verifier: string | null): boolean {
    const known = this.#read()
    return known.length > 0 && !known.includes(hash(role, verifier))
  }

  /**
   * Remembers that `verifier` is about to be set for `role`.
   *
   * @param vaultFile where its password is; what is remembered of that stays otherwise
   * @returns why it could not; an ordinary account, which the folder is not for, is not told
   */
  remember(role: string, verifier: string, vaultFile?: string): string | undefined {
    try {
      const latest = hash(role, verifier)
      const kept = this.#read()
        .filter(line => line !== latest)
        .slice(-(REMEMBERED - 1))
      const path = vaultFile ?? this.vaultFile()
      const vault = path === undefined ? [] : [VAULT + path]
      const lines = [...kept, latest, ...vault].map(line => `${line}\n`)
      const text = Buffer.from(lines.join(''))
      withFolder(this.#folder, 0o700, folder => replaceFile(folder, this.#file, text, ownFile()))
    } catch (error) {
      if (effectiveUid() === 0) return reasonOf(error)
    }
    return undefined
  }

  /** Temporary files that a killed run left. */
  litter(): readonly string[] {
    return this.#looking(folder => litter(folder, this.#file)) ?? []
  }

  /** Takes all of it away, when there is no such cluster any more. */
  forget(): void {
    inFolder(this.#folder, folder => folder.remove(this.#file))
  }

  #read(): readonly string[] {
    return this.#lines().filter(line => /^[0-9a-f]{64}$/.test(line))
  }

  #lines(): readonly string[] {
    return (this.#looking(folder => readRegular(folder, this.#file).bytes.toString('utf8')) ?? '').split('\n')
  }

  /** What `look` finds, or undefined where there is nothing to find, or an ordinary account may not look. */
  #looking<T>(look: (folder: Folder) => T): T | undefined {
    try {
      return inFolder(this.#folder, look)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || effectiveUid() !== 0) return undefined
      throw systemFailure(error, `look into the state folder ${this.#folder}`)
    }
  }
}

const hash = (role: string, verifier: string | null): string =>
  createHash('sha256')
    .update(`${role}\0${verifier ?? ''}`)
    .digest('hex')
