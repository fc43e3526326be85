import type { Finding } from '../../frame/finding.ts'
import { vaultManager } from '../../provision/vault-plan.ts'
import type { CurrentRole } from '../../server/look.ts'
import { ifKnown, type Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { ServerState } from '../facts/server.ts'
import { FINDINGS, type FindingId, type Fix, type Meaning, type Step } from './meanings.ts'

/** A finding of the doctor's. */
export type DoctorFinding = Finding & {
  readonly id: FindingId
  readonly fix?: Fix | undefined
  readonly blocks?: Step | undefined
  readonly consequences?: readonly DoctorFinding[]
}

/** What one family of causes came to on a host. */
export class Examination {
  readonly facts: Facts
  readonly findings: DoctorFinding[] = []
  /** What was checked and found right, one line each. */
  readonly right: string[] = []
  /** What could not be looked at, and why. */
  readonly unseen: string[] = []

  constructor(facts: Facts) {
    this.facts = facts
  }

  /**
   * Something is wrong. What it means and what to do about it is said in `FINDINGS`.
   *
   * @param seen what was seen of it
   * @param here what is said otherwise of this one
   */
  find(id: FindingId, subject: string, seen: string, here: Partial<Meaning> = {}): void {
    const { severity, meaning, remedy, fix, blocks }: Meaning = { ...FINDINGS[id], ...here }
    const text = (said: Meaning['remedy']): string => (typeof said === 'string' ? said : said(subject))
    const possible = fix && isFixable(this.facts, fix) ? fix : undefined
    this.findings.push({
      id,
      severity,
      subject,
      seen,
      meaning: text(meaning),
      remedy: text(remedy),
      fix: possible,
      blocks: severity === 'error' ? blocks : undefined,
    })
  }

  /** Something was checked and found right. */
  good(text: string): void {
    this.right.push(text)
  }

  /** Something could not be looked at. */
  blind(what: string, { why }: Pick<Unknown, 'why'>): void {
    this.unseen.push(`${what}: ${why}`)
  }
}

/** Whether fix-postgres can do that on this host. */
export function isFixable(facts: Facts, fix: Fix): boolean {
  const { systemd, nixos } = facts
  const ours = facts.patroni === undefined
  switch (fix) {
    // What a NixOS configuration decides comes back with the next one.
    case 'accounts':
    case 'hosts':
      return !nixos
    case 'trust-rule':
      return !nixos && ours
    case 'listen':
      return systemd && !nixos && ours
    case 'start':
    case 'undo':
      return systemd && ours
    case 'units':
      return systemd
    // There is no password for it to work with, and a standby generates none.
    case 'setup':
      return !isStandby(facts) || ifKnown(facts.vault)?.file.state !== 'missing'
    default:
      return true
  }
}

/** Whether there is no PostgreSQL on this host at all: no unit, no data, no programs, and no other host that should have it. */
export function isUninstalled(facts: Facts): boolean {
  const { settings, units, data, programs, patroni, server, attempts, foreign } = facts
  const unit = ifKnown(units)?.find(({ name }) => name === 'postgresql.service')
  const nowhere = server.state === 'absent' || server.state === 'unasked'
  const answers = attempts.some(({ outcome }) => outcome.ok) || ifKnown(foreign) !== undefined
  const traces = data !== undefined || programs || patroni !== undefined
  return nowhere && !answers && !traces && unit?.load === 'not-found' && settings.host.startsWith('/')
}

/** A remedy that on NixOS is an option, and where Patroni has the cluster something for that to do. */
export function remedyOn(facts: Facts, elsewhere: string, option: string, patroni = elsewhere): string {
  if (facts.patroni !== undefined) return patroni
  return facts.nixos ? `set the option ${option}` : elsewhere
}

/** What the server told about itself, or undefined. */
export const serverSelf = ({ server }: Facts): ServerState | undefined =>
  server.state === 'up' ? ifKnown(server.self) : undefined

/** The application's role as the server has it, or undefined. */
export const currentRole = ({ server, settings }: Facts): CurrentRole | undefined =>
  server.state === 'up' ? ifKnown(server.cluster)?.roles.get(settings.dbUser) : undefined

/** Whether PostgreSQL has everything from a primary, or will have when it is up. */
export const isStandby = ({ server, standbyDown }: Facts): boolean =>
  standbyDown || (server.state === 'up' && ifKnown(server.cluster)?.inRecovery === true)

/** How a standby comes by the password of its primary, which is the one that PostgreSQL has here too. */
export function fromPrimary({ settings, manifest }: Facts): string {
  const tool = vaultManager(settings, manifest)?.tool
  return tool === undefined
    ? `copy the vault file of the primary to ${settings.vaultFile}`
    : `let ${tool} put the password of the primary into ${settings.vaultFile}`
}

/** What is said otherwise on a standby, where `remedy` is for a person: it has everything from its primary. */
export const onStandby = (facts: Facts, remedy: string): Partial<Meaning> =>
  isStandby(facts) ? { remedy, fix: undefined } : {}
