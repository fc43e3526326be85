import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Case } from './cases.ts'
import {
  BROKEN,
  HBA,
  NIXOS,
  notUp,
  refusedOnce,
  refusedTwice,
  rules,
  SECONDS,
  settings,
  up,
} from './facts.ts'

const OWN = 'local all postgres peer map=superuser_map\n'
const IPV4 = 'host all all 127.0.0.1/32 scram-sha-256\n'
const IPV6 = 'host all all ::1/128 scram-sha-256\n'
const ABSENT = notUp('absent', undefined, 'there is no socket at /run/postgresql port 5432')
const NO_ENTRY = refusedOnce(
  'no rule',
  'PostgreSQL does not let this role in: no pg_hba.conf entry for host "::1"',
)
const REJECTED = refusedOnce(
  'refused by rules',
  'PostgreSQL does not let this role in: pg_hba.conf rejects connection',
)
const differing = (unwritten: string | undefined) =>
  known({
    difference: {
      subject: HBA,
      seen: ['"host devUser devUser ::1/128 scram-sha-256" is missing'],
      lines: [],
      remedy: 'postgres-endoreg-setup',
    },
    unwritten,
  })
const newer = { path: HBA, kind: 'hba' as const, changed: SECONDS - 1 }

/** Rules, what they trust, and what a refused login comes from; each cause is told once, and not what follows. */
export const ACCESS: readonly Case[] = [
  {
    name: 'no rule for ::1',
    told: { ...NO_ENTRY, rules: rules(OWN + IPV4) },
    finds: ['error hba-no-rule (::1) setup'],
    says: /no rule of \S+pg_hba\.conf is for endoregDbLocal .* from ::1$.*by hand, above all that would fit: host "endoregDbLocal" "endoregDbLocal" ::1\/128/ms,
  },
  {
    name: "no rule, where the rules are NixOS's",
    told: { ...NO_ENTRY, ...NIXOS, rules: rules(OWN + IPV4) },
    finds: ['error hba-no-rule (::1)'],
    says: /set the option services\.endoreg-provision\.manifest\.hba, or services\.postgresql\.authentication/,
  },
  {
    name: 'no rule, where the setup only compares',
    told: { ...NO_ENTRY, settings: { ...settings, manageHba: 'check' }, rules: rules(OWN + IPV4) },
    finds: ['error hba-no-rule (::1)'],
    says: /ENDOREG_MANAGE_HBA=write/,
  },
  {
    name: 'no rule for ::1 and for others: what mends the one is said, and is a start with the others',
    told: { ...NO_ENTRY, rules: rules(OWN + IPV4, [], differing(undefined)) },
    finds: ['error hba-no-rule (::1) setup'],
  },
  {
    name: 'no rule for ::1, where the setup would let in somebody else who is turned away',
    told: { ...NO_ENTRY, rules: rules(OWN + IPV4, [], differing('the role eve is decided otherwise')) },
    finds: ['error hba-no-rule (::1)'],
    says: /remedy: put above all that would fit: .*ENDOREG_MANAGE_HBA=write/,
  },
  {
    name: 'declared rules that are not in force, which the setup writes',
    told: { rules: rules(OWN + IPV4 + IPV6, [], differing(undefined)) },
    finds: [`warning rules-differ (${HBA}) setup`],
    says: /1 declared line is not in force: "host devUser devUser ::1\/128 scram-sha-256" is missing/,
  },
  {
    name: 'declared rules that are not in force, and only compared',
    told: { rules: rules(OWN + IPV4 + IPV6, [], differing('ENDOREG_MANAGE_HBA is check')) },
    finds: [`warning rules-differ (${HBA})`],
    says: /not in force, and the setup does not write there \(ENDOREG_MANAGE_HBA is check\): /,
  },
  {
    name: 'whether rules are as declared cannot be seen',
    told: { rules: rules(OWN + IPV4 + IPV6, [], BROKEN) },
    finds: [],
    unseen: ['whether the access rules are as declared: the device reports an input/output error'],
  },
  {
    name: 'a rule that rejects, before the right one',
    told: { ...REJECTED, rules: rules(`${OWN + IPV4}host all all ::1/128 reject\n${IPV6}`) },
    finds: ['error hba-rejected (::1) setup'],
    says: /pg_hba\.conf:3 decides, with reject, before \S+pg_hba\.conf:4 \(scram-sha-256\) which was meant/,
  },
  ...['ident', 'ldap ldapserver=x ldapbasedn=y', 'radius radiusservers=x radiussecrets=y'].map(method => ({
    name: `a rule that asks for something else: ${method}`,
    told: {
      // PostgreSQL asks for the password itself there, and is not given it.
      ...(method === 'ident' ? REJECTED : refusedOnce('unsafe method', 'it asks for password')),
      rules: rules(`${OWN + IPV4}host all all ::1/128 ${method}\n`),
    },
    finds: ['error hba-method (::1) setup'],
    says: /:3 decides, with (?:ident|ldap|radius)$/m,
  })),
  {
    name: 'rules for sockets are none for TCP, and one for a certificate is what keeps the API out',
    told: {
      ...REJECTED,
      rules: rules(`${OWN + IPV4}local all all peer\nhostssl all all ::1/128 cert\n`),
      server: up({ tls: true }),
    },
    finds: ['error hba-method (::1) setup'],
    says: /pg_hba\.conf:4 decides, with cert$/m,
  },
  {
    name: 'a rule that wants a certificate beside the password',
    told: {
      ...refusedTwice('refused by rules', 'connection requires a valid client certificate'),
      rules: rules(`${OWN}hostssl all all all scram-sha-256 clientcert=verify-full\n`),
      server: up({ tls: true }),
    },
    finds: ['error hba-method (::1, 127.0.0.1) setup'],
    says: /:2 decides, with scram-sha-256 and clientcert=verify-full, so it wants a certificate.*host "endoregDbLocal" "endoregDbLocal" ::1\/128 scram-sha-256 and host .* 127\.0\.0\.1\/32/s,
  },
  {
    name: 'a rule for connections without TLS alone, where the API asks for TLS',
    told: {
      ...NO_ENTRY,
      settings: { ...settings, dbSslMode: 'require' },
      rules: rules(`${OWN + IPV4}hostnossl all all ::1/128 scram-sha-256\n`),
      server: up({ tls: true }),
    },
    finds: ['error hba-no-rule (::1) setup'],
  },
  {
    name: 'no rule for any address is one finding',
    told: { ...refusedTwice('no rule', 'no pg_hba.conf entry'), rules: rules(OWN) },
    finds: ['error hba-no-rule (::1, 127.0.0.1) setup'],
    says: /from ::1 or 127\.0\.0\.1$.*no pg_hba\.conf entry for host "::1" and host "127\.0\.0\.1"/ms,
  },
  {
    name: 'a rule for TLS alone, on a server that offers none',
    told: { ...NO_ENTRY, rules: rules(`${OWN + IPV4}hostssl all all ::1/128 scram-sha-256\n`) },
    finds: ['error hba-no-rule (::1) setup'],
  },
  {
    name: 'a rule for TLS alone lets in where the server offers it, so what is loaded is another',
    told: {
      ...NO_ENTRY,
      rules: rules(`${OWN + IPV4}hostssl all all ::1/128 scram-sha-256\n`),
      server: up({ tls: true, files: [newer] }),
    },
    finds: [`error rules-not-loaded (${HBA}) reload`],
    says: /the file lets the API in, and the rules from before do not/,
  },
  {
    name: 'rules for a group, of which the role is none, and of which it is one',
    told: { ...NO_ENTRY, rules: rules(`${OWN + IPV4}host all +staff ::1/128 scram-sha-256\n`) },
    finds: ['error hba-no-rule (::1) setup'],
  },
  {
    name: 'a member of the group is let in by the file',
    told: {
      ...NO_ENTRY,
      rules: rules(`${OWN + IPV4}host all +staff ::1/128 scram-sha-256\n`, ['staff']),
      server: up({ files: [newer] }),
    },
    finds: [`error rules-not-loaded (${HBA}) reload`],
  },
  {
    name: 'the file lets it in, PostgreSQL refuses, and nothing is newer than what is loaded: no cause is claimed',
    told: NO_ENTRY,
    finds: ['error login-failed (::1) reload'],
    says: /no pg_hba\.conf entry for host "::1"; but \S+pg_hba\.conf:3 lets it in, and no file is newer/,
  },
  {
    name: 'the same of a pooler, which has rules of its own',
    told: { ...NO_ENTRY, settings: { ...settings, dbPort: 6432 } },
    finds: ['error login-failed (::1)'],
  },
  {
    name: 'rules that cannot be read, and say no',
    told: { ...NO_ENTRY, rules: BROKEN },
    finds: ['error hba-no-rule (::1) setup'],
    unseen: ['the access rules: the device reports an input/output error'],
  },
  {
    name: 'rules that cannot be read, and reject',
    told: { ...REJECTED, rules: BROKEN },
    finds: ['error hba-rejected (::1) setup'],
    unseen: ['the access rules: the device reports an input/output error'],
  },
  {
    name: 'rules that cannot be read on a host without a server',
    told: { ...ABSENT, attempts: [], rules: BROKEN },
    finds: ['error server-down (port 5432) start'],
  },
  ...(
    [
      ['scram-sha-256', true],
      ['md5', true],
      ['password', false],
      ['ldap ldapserver=x ldapbasedn=y', false],
      ['radius radiusservers=x radiussecrets=y', false],
      ['reject', false, 'hba-rejected'],
    ] as const
  ).map(([method, proves, id = 'hba-method']) => ({
    name: `newer rules with ${method} for ::1`,
    told: {
      server: up({ files: [newer] }),
      rules: rules(`${OWN + IPV4}host all all ::1/128 ${method}\n`),
    },
    finds: [proves ? `warning rules-not-loaded (${HBA}) reload` : `error ${id} (::1) setup`],
  })),
  {
    name: 'newer rules that would keep the API out: to load them is no remedy',
    told: { server: up({ files: [newer] }), rules: rules(OWN + IPV4) },
    finds: ['error hba-no-rule (::1) setup'],
  },
  {
    name: 'newer rules that let the API in',
    told: { server: up({ files: [newer] }) },
    finds: [`warning rules-not-loaded (${HBA}) reload`],
    says: /works with other rules than the file says, until its next start/,
  },
  {
    name: 'a line that PostgreSQL does not take: to load it is no remedy',
    told: {
      server: up({
        files: [newer],
        ruleErrors: [{ in: 'hba', file: HBA, line: 9, message: 'end-of-line before method' }],
      }),
    },
    finds: [`warning rules-invalid (${HBA}:9)`],
    says: /end-of-line before method.*goes on with the rules from before/s,
  },
  {
    name: 'a line of an identity map that PostgreSQL does not take: it starts, without any',
    told: {
      server: up({
        ruleErrors: [{ in: 'ident', file: '/x/pg_ident.conf', line: 2, message: 'missing entry' }],
      }),
    },
    finds: ['warning rules-invalid (/x/pg_ident.conf:2)'],
    says: /after its next start has none/,
  },
  {
    name: 'an error of which PostgreSQL does not say in which file',
    told: { server: up({ ruleErrors: [{ in: 'hba', file: null, line: 9, message: 'invalid entry' }] }) },
    finds: ['warning rules-invalid (pg_hba.conf:9)'],
  },
  ...(
    [
      ['local all postgres trust\n', 'trust-superuser', ' trust-rule'],
      ['host all postgres 127.0.0.1/32 trust\n', 'trust-superuser', ''],
      ['hostssl all postgres ::1/128 trust\n', 'trust-superuser', ''],
      [`${OWN}local all all trust\n`, 'trust-rule', '', 2],
      ['host all all 10.0.0.0/8 trust\n', 'trust-rule', ''],
      ['local devUser devUser trust\n', 'trust-rule', ''],
      ['local all devUser trust\n', 'trust-rule', ''],
      ['local devUser all trust\n', 'trust-rule', ''],
    ] as const
  ).map(([text, id, fix, at]) => ({
    name: `who is trusted by ${text}`,
    told: { rules: rules(text + OWN + IPV4 + IPV6) },
    finds: [`warning ${id} (${HBA}:${at ?? 1})${fix}`],
    says: text.includes('local') ? /say peer instead of trust/ : /say scram-sha-256 instead of trust/,
  })),
  {
    name: 'a rule that trusts the application, which then has no proof of its server',
    told: {
      rules: rules(`${OWN}host all all ::1/128 trust\n${IPV4}`),
      ...refusedOnce('unasked', 'it let us in without asking'),
    },
    finds: [`error trust-superuser (${HBA}:2)`],
    says: /as no login proves anything, endo-api-boot does not start the API/,
  },
  {
    name: 'let in unasked, and no rule says so',
    told: refusedOnce('unasked', 'it let us in without asking'),
    finds: ['error login-failed (::1)'],
    says: /it let us in without asking/,
  },
  {
    name: 'a rule that trusts, which another one never lets decide',
    told: { rules: rules(`${OWN}local all all peer\n${IPV4}${IPV6}local all all trust\n`) },
    finds: [],
  },
  {
    name: 'the administrator is trusted, where NixOS has the rules',
    told: { ...NIXOS, rules: rules(`local all postgres trust\n${IPV4}${IPV6}`) },
    finds: [`warning trust-superuser (${HBA}:1)`],
  },
]
