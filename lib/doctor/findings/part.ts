import type { Finding, Fix } from '../../frame/finding.ts'
import { type CurrentRole, newerFiles as newerOf } from '../../server/look.ts'
import { ifKnown, type Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { ServerState } from '../facts/server.ts'

/** What one family of causes came to. */
export type Part = {
  readonly findings: readonly Finding[]
  /** What was checked and found right, one line each. */
  readonly right: readonly string[]
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[]
}

/** Collects a part. */
export class Parts implements Part {
  readonly findings: Finding[] = []
  readonly right: string[] = []
  readonly unseen: string[] = []

  find(finding: Finding): void {
    this.findings.push(finding)
  }

  good(text: string): void {
    this.right.push(text)
  }

  /** Says that `what` is right, where nothing was found since there were `before` findings. */
  goodUnless(before: number, what: string): void {
    if (this.findings.length === before) this.right.push(what)
  }

  blind(what: string, { why }: Unknown): void {
    this.unseen.push(`${what}: ${why}`)
  }
}

/** `fix`, where fix-postgres can do it on this host. A finding names it, and the diagnosis asks here. */
export function fixable(facts: Facts, fix: Fix | undefined): Fix | undefined {
  const { systemd, nixos } = facts
  const ours = patroniOf(facts) === undefined
  const possible: Readonly<Record<Fix, boolean>> = {
    setup: true,
    install: true,
    reload: true,
    folders: true,
    schema: true,
    // What a NixOS configuration decides comes back with the next one.
    accounts: !nixos,
    hosts: !nixos,
    'trust-rule': !nixos && ours,
    listen: systemd && !nixos && ours,
    start: systemd && ours,
    undo: systemd && ours,
    units: systemd,
  }
  return fix && possible[fix] ? fix : undefined
}

/** A fix for a finding. */
export const able = (_: Facts, fix: Fix): { fix: Fix } => ({ fix })

/** Why the cluster belongs to Patroni; undefined where it does not, as far as it could be seen. */
export const patroniOf = ({ patroni }: Facts): string | undefined => ifKnown(patroni)

/** A remedy that on NixOS is an option, and where Patroni has the cluster something for that to do. */
export function remedyOn(facts: Facts, elsewhere: string, option: string, patroni = elsewhere): string {
  if (patroniOf(facts) !== undefined) return patroni
  return facts.nixos ? `set the option ${option}` : elsewhere
}

/** What the server told about itself, or undefined. */
export const serverSelf = ({ server }: Facts): ServerState | undefined =>
  server.state === 'up' ? ifKnown(server.self) : undefined

/** The application's role as the server has it, or undefined. */
export const currentRole = ({ server, settings }: Facts): CurrentRole | undefined =>
  server.state === 'up' ? ifKnown(server.cluster)?.roles.get(settings.dbUser) : undefined

/** The files of these kinds that the server has not loaded since they were changed, as far as it told. */
export const newerFiles = (
  self: ServerState | undefined,
  ...kinds: Parameters<typeof newerOf>[1][]
): string[] => (self ? newerOf(self, ...kinds) : [])

export const isStandby = ({ server }: Facts): boolean =>
  server.state === 'up' && ifKnown(server.cluster)?.inRecovery === true
