import { createHash } from 'node:crypto'
import { errnoOf, reasonOf, systemFailure } from '../frame/failure.ts'
import { litter, readRegular, replaceFile } from '../host/file.ts'
import { type Folder, inFolder, withFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { ownFile } from '../host/ownership.ts'

/** The one in use and the next: a run that is killed between the two has told of both. */
const REMEMBERED = 2

/** A verifier, as it is written down. Alone on its line it is of an earlier version, which did not say of which role. */
const HASH = /^[0-9a-f]{64}$/

/**
 * Which verifiers this program has set, as hashes, in the state folder: to tell a password that somebody else
 * has set from one that is only old. And in which vault file their passwords are. A role has lines of its own, which
 * begin with its hash: a cluster may hold the roles of several applications.
 */
export class RememberedVerifiers {
  readonly #folder: string
  readonly #file: string

  /** @param cluster its identifier, since a host may have had others */
  constructor(folder: string, cluster: string) {
    this.#folder = folder
    this.#file = `verifiers.${cluster}`
  }

  /** Whether nothing is remembered of `role`; always false for an ordinary account, which the folder is not for. */
  isEmpty(role: string): boolean {
    return effectiveUid() === 0 && this.#hashes(role).length === 0
  }

  /** The vault file that held the password of `role` the last time; undefined where none is remembered. */
  vaultFile(role: string): string | undefined {
    return this.#of(role).find(value => value.startsWith('/'))
  }

  /**
   * Whether another vault file than `path` is remembered for `role`; always false for an ordinary account. An earlier
   * version remembered none: that is no drift, and comes with the next password.
   */
  isVaultElsewhere(role: string, path: string): boolean {
    return effectiveUid() === 0 && ![undefined, path].includes(this.vaultFile(role))
  }

  /** Whether `verifier` is none of those this program has set for `role`; false where it remembers none. */
  isForeign(role: string, verifier: string | null): boolean {
    const known = this.#hashes(role)
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
      const kept = this.#hashes(role)
        .filter(known => known !== latest)
        .slice(-(REMEMBERED - 1))
      const others = this.#lines().filter(line => line !== '' && !line.startsWith(mark(role)))
      const vault = vaultFile ?? this.vaultFile(role)
      const own = [...kept, latest, ...(vault === undefined ? [] : [vault])].map(value => mark(role) + value)
      const text = Buffer.from([...others, ...own].map(line => `${line}\n`).join(''))
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

  /** Those of an earlier version count until the role has all of its own. */
  #hashes(role: string): readonly string[] {
    const own = this.#of(role).filter(value => HASH.test(value))
    return own.length >= REMEMBERED ? own : [...this.#lines().filter(line => HASH.test(line)), ...own]
  }

  #of(role: string): readonly string[] {
    return this.#lines().flatMap(line => (line.startsWith(mark(role)) ? line.slice(mark(role).length) : []))
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

/** What the lines of `role` begin with. */
const mark = (role: string): string => `${sha256(role)} `

const hash = (role: string, verifier: string | null): string => sha256(`${role}\0${verifier ?? ''}`)

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
