import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Case } from './cases.ts'
import {
  ADDRESSES,
  BROKEN,
  cluster,
  facts,
  loggedIn,
  NIXOS,
  notUp,
  problem,
  ROLE,
  refused,
  refusedOnce,
  refusedTwice,
  SECONDS,
  settings,
  up,
  withRole,
} from './facts.ts'

const WRONG_PASSWORD = refusedTwice('wrong password', `PostgreSQL refused the password of ${ROLE}`)

/** How the name of the database becomes an address. */
export const NAMES: readonly Case[] = [
  {
    name: 'a name that means nothing, so that no address is tried',
    told: { names: { hosts: known(''), resolved: BROKEN, ipv6: true }, attempts: [] },
    finds: ['error name-unresolved (localhost) hosts'],
    says: /remedy: Look at the disk\./,
  },
  ...ADDRESSES.map(address => ({
    name: `/etc/hosts without ${address}`,
    told: {
      names: { hosts: known(''), resolved: known(ADDRESSES.filter(other => other !== address)), ipv6: true },
    },
    finds: [`warning hosts-loopback (${address}) hosts`],
    says: new RegExp(`echo "${address} localhost" >>/etc/hosts, and restart PostgreSQL`),
  })),
  {
    name: '/etc/hosts without ::1, on NixOS',
    told: { ...NIXOS, names: { hosts: known(''), resolved: known(['127.0.0.1']), ipv6: true } },
    finds: ['warning hosts-loopback (::1)'],
    says: /set the option networking\.hosts\."::1" = \[ "localhost" \]/,
  },
  {
    name: 'a host that knows nothing of IPv6 needs no ::1',
    told: { names: { hosts: known(''), resolved: known(['127.0.0.1']), ipv6: false } },
    finds: [],
  },
  {
    name: '/etc/hosts without loopbacks that another part of the resolver knows',
    told: { names: { hosts: known(''), resolved: known([...ADDRESSES]), ipv6: true } },
    finds: [],
  },
  {
    name: 'a database on another host is no matter of loopbacks',
    told: {
      settings: { ...settings, dbHost: 'db.example' },
      names: { hosts: known(''), resolved: known(['192.0.2.1']), ipv6: false },
      attempts: [loggedIn('192.0.2.1')],
    },
    finds: [`error settings-differ (${settings.apiDir}/conf/db.yaml) install`],
  },
  {
    name: '/etc/hosts cannot be read',
    told: { names: { hosts: BROKEN, resolved: known(['127.0.0.1']), ipv6: true } },
    finds: [],
    unseen: ['/etc/hosts: the device reports an input/output error'],
  },
  {
    name: 'localhost means ::1, which this host does not have: that is why nobody logs in there',
    told: {
      names: { hosts: known(''), resolved: known([...ADDRESSES]), ipv6: false },
      ...refusedOnce('no address', 'this host has no address to reach ::1 from'),
    },
    finds: ['error ipv6-off (::1)'],
    says: /echo 0 >\/proc\/sys\/net\/ipv6\/conf\/lo\/disable_ipv6/,
  },
]

/** Logins that are refused, or find nobody: the cause is told once, and not what follows from it. */
export const LOGINS: readonly Case[] = [
  {
    name: 'an address at which nobody listens',
    told: {
      ...refusedOnce(undefined, 'nothing listens', 'absent'),
      server: up({ listenAddresses: '127.0.0.1' }),
    },
    finds: ['error address-not-served (::1) listen'],
    says: /port 5432, which localhost resolves to \(listen_addresses is '127\.0\.0\.1'\).*ALTER SYSTEM/s,
  },
  {
    name: 'nobody listens at any address: one remedy for all of them',
    told: { ...refusedTwice(undefined, 'nothing listens', 'absent'), server: up({ listenAddresses: '' }) },
    finds: ['error address-not-served (::1, 127.0.0.1) listen'],
    says: /at ::1 or 127\.0\.0\.1 port 5432.*ALTER SYSTEM SET listen_addresses = '::1,127\.0\.0\.1', then/s,
  },
  {
    name: 'nobody listens at a port that is not that of PostgreSQL',
    told: {
      settings: { ...settings, dbPort: 6432 },
      ...refusedTwice(undefined, 'nothing listens', 'absent'),
    },
    finds: ['error address-not-served (::1, 127.0.0.1)'],
    says: /remedy: Look at the log/,
  },
  {
    name: 'an address at which nobody listens, on NixOS',
    told: { ...NIXOS, ...refusedOnce(undefined, 'nothing listens', 'absent') },
    finds: ['error address-not-served (::1)'],
    says: /services\.postgresql\.settings\.listen_addresses = lib\.mkForce "localhost,::1"/,
  },
  {
    name: 'no right to connect: that is why',
    told: { ...refusedTwice('no right to connect', 'no right'), server: up({ mayConnect: false }) },
    finds: [`error database-connect (${settings.dbName})`],
    says: /GRANT CONNECT ON DATABASE "endoregDbLocal" TO/,
  },
  {
    name: 'no right to connect, and no reason is known',
    told: refusedOnce('no right to connect', 'no right'),
    finds: ['error login-failed (::1)'],
    says: /remedy: Look at the log of PostgreSQL for ::1\/128\./,
  },
  ...(
    [
      ['takes no connections', 'closed', /WITH ALLOW_CONNECTIONS true/],
      ['invalid database', 'invalid', /postgres-endoreg-setup; what was in it may be in an older backup/],
      ['no locale', 'locale', /locale-gen.*i18n\.supportedLocales.*restart postgresql/],
    ] as const
  ).flatMap(([kind, state, says]) => [
    {
      name: `nobody can connect to the API's database: ${kind}`,
      told: {
        ...refusedTwice(kind, 'sorry'),
        server: up({}, { closed: known([{ name: settings.dbName, state, why: 'PostgreSQL said why' }]) }),
      },
      finds: [`error database-${state} (${settings.dbName})`],
      says,
    },
    {
      name: `${kind}, as only the API's logins show, and both of them`,
      told: {
        ...notUp('refused', 'refused by rules', 'peer'),
        root: false,
        ...refusedTwice(kind, 'it is not so'),
      },
      finds: [`error database-${state} (${settings.dbName})`],
      says: /it is not so.*remedy: Look at the log/s,
      unseen: ['roles and databases: peer (run it as root)'],
    },
  ]),
  {
    name: "the administrator's own database has a locale that is gone",
    told: {
      ...notUp('refused', 'no locale', 'no such locale'),
      ...refusedTwice('no locale', 'no such locale'),
    },
    finds: ['error database-locale (postgres)', `error database-locale (${settings.dbName})`],
    says: /no such locale.*cannot provision/s,
  },
  {
    name: 'no database: that is why',
    told: {
      ...refusedTwice('no such database', 'the database does not exist'),
      server: up({}, { cluster: known(cluster({ databases: without(settings.dbName) })) }),
    },
    finds: [`error database-missing (${settings.dbName}) setup`],
  },
  {
    name: 'no database, as far as an ordinary account is told',
    told: {
      ...notUp('refused', 'refused by rules', 'peer'),
      root: false,
      ...refusedOnce('no such database', 'the database does not exist'),
    },
    finds: ['error login-failed (::1)'],
    unseen: ['roles and databases: peer (run it as root)'],
  },
  {
    name: 'the role may not log in: that is why, and no rule',
    told: {
      ...refusedTwice('refused by rules', 'role is not permitted to log in'),
      server: up({}, { cluster: known(withRole({ login: false })) }),
    },
    finds: [`error role-no-login (${ROLE}) setup`],
  },
  {
    name: 'the password has expired: that is why',
    told: { ...WRONG_PASSWORD, server: up({}, { cluster: known(withRole({ validUntil: SECONDS })) }) },
    finds: [`error role-expired (${ROLE}) setup`],
    says: /its password has expired, 2026-11-26T12:00:00\.000Z/,
  },
  {
    name: 'PostgreSQL has another password: that is why',
    told: {
      ...WRONG_PASSWORD,
      agreement: { copyIsVault: true, vaultIsVerifier: 'other password', copyIsVerifier: 'other password' },
    },
    finds: [`error password-postgres (${ROLE}) setup`],
  },
  {
    name: 'all connections are taken but those that are kept for superusers',
    told: {
      ...refusedTwice('connections taken', 'all connections but those reserved', 'starting'),
      server: up({ sessions: 97 }),
    },
    finds: ['error connections-exhausted (PostgreSQL)'],
    says: /all connections but those reserved; 97 of 97 connections are in use/,
  },
  {
    name: 'a pooler has no connection left: that is no limit of PostgreSQL',
    told: {
      settings: { ...settings, dbPort: 6432 },
      ...refusedOnce('connections taken', 'no more connections allowed', 'starting'),
    },
    finds: ['error login-failed (::1)'],
  },
  {
    name: "the role's own limit, which is not declared",
    told: {
      ...refusedTwice('role crowded', 'too many connections for role', 'starting'),
      server: up({}, { cluster: known(withRole({ connectionLimit: 3 })) }),
    },
    finds: [`error role-limit (${ROLE}) setup`],
    says: /may have 3 connections \(CONNECTION LIMIT\): too many.*ALTER ROLE "endoregDbLocal" CONNECTION LIMIT -1/s,
  },
  {
    name: "the role's own limit, as the manifest declares it",
    told: {
      manifest: {
        ...facts().manifest,
        roles: facts().manifest.roles.map(role =>
          role.name === ROLE ? { ...role, connectionLimit: 3 } : role,
        ),
      },
      ...refusedTwice('role crowded', 'too many connections for role', 'starting'),
      server: up({}, { cluster: known(withRole({ connectionLimit: 3 })) }),
    },
    finds: [`error role-limit (${ROLE})`],
    says: /raise connectionLimit of endoregDbLocal in the manifest/,
  },
  {
    name: 'a limit of none lets nobody in, also where nobody has tried',
    told: { attempts: [], server: up({}, { cluster: known(withRole({ connectionLimit: 0 })) }) },
    finds: [`error role-limit (${ROLE}) setup`],
  },
  {
    name: 'the password is right, and refused all the same',
    told: WRONG_PASSWORD,
    finds: ['error login-failed (::1, 127.0.0.1)'],
    says: /PostgreSQL refused the password of endoregDbLocal; likewise at 127\.0\.0\.1$.*for ::1\/128 and 127\.0\.0\.1\/32/ms,
  },
  {
    name: 'an md5 password, which is asked for in an unsafe way',
    told: {
      ...refusedTwice('unsafe method', 'it asks for md5'),
      agreement: { copyIsVault: true, vaultIsVerifier: 'md5', copyIsVerifier: 'md5' },
    },
    finds: [`error role-md5 (${ROLE}) setup`],
  },
  {
    name: 'a host with IPv6 that cannot be reached by it',
    told: refusedOnce('no address', 'this host has no address'),
    finds: ['error login-failed (::1)'],
  },
  {
    name: 'a login that gets no answer from a server that has some for us',
    told: refusedOnce(undefined, 'it did not answer', 'starting'),
    finds: ['error login-failed (::1)'],
  },
  {
    name: "the vault's password counts, and not what db_pwd has",
    told: {
      attempts: [
        { with: 'db_pwd', outcome: { address: '::1', ok: true } },
        refused('::1', problem(undefined, 'it speaks otherwise')),
        loggedIn('127.0.0.1'),
      ],
    },
    finds: ['error login-failed (::1)'],
  },
]

function without(name: string): ReadonlyMap<string, string> {
  const databases = new Map(cluster().databases)
  databases.delete(name)
  return databases
}
