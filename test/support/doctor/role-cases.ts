import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../../lib/doctor/facts/gather.ts'
import type { Agreement } from '../../../lib/doctor/facts/passwords.ts'
import type { Cluster } from '../../../lib/server/look.ts'
import type { Case } from './cases.ts'
import {
  BROKEN,
  CHECKOUT,
  cluster,
  contents,
  DENIED,
  needs,
  ROLE,
  role,
  settings,
  up,
  VAULT,
  withRole,
} from './facts.ts'

const DATABASE = settings.dbName

const has = (change: Partial<Cluster>): Pick<Facts, 'server'> => ({
  server: up({}, { cluster: known(cluster(change)) }),
})
const less = <T>(map: ReadonlyMap<string, T>, ...names: readonly string[]): Map<string, T> =>
  new Map([...map].filter(([name]) => !names.includes(name)))
const { roles, databases } = cluster()
const STANDBY = { inRecovery: true } as const
const standby = 'notice server-standby (PostgreSQL)'

/** Roles, databases and rights. */
export const ROLES: readonly Case[] = [
  {
    name: 'catalogs that cannot be read',
    told: { server: up({}, { cluster: BROKEN }) },
    finds: ['error catalog-unusable (roles and databases)'],
    says: /the device reports.*remedy: Look at the disk\./s,
  },
  {
    name: 'catalogs that are not for this account to read',
    told: { server: up({}, { cluster: DENIED }), root: false },
    finds: [],
    unseen: ['roles and databases: permission denied'],
  },
  {
    name: "no role for the API, whose database is another role's then",
    told: has({ roles: less(roles, ROLE), databases: less(databases, DATABASE) }),
    finds: [`error role-missing (${ROLE}) setup`],
    says: /password authentication fails.*so it follows: database-missing/s,
  },
  {
    name: 'a role that was renamed, and took its database along',
    told: has({ roles: less(roles, ROLE), databases: new Map(databases).set(DATABASE, 'old') }),
    finds: [`error role-missing (${ROLE}) setup`],
    says: /role-missing.*database-owner/s,
  },
  {
    name: 'roles and databases of others that are missing or differ',
    told: has({
      roles: less(roles, 'devUser').set('admin', role({ replication: false })),
      databases: less(databases, 'devUser').set('testUser', 'postgres'),
    }),
    finds: ['warning manifest-drift (role admin, role devUser, database testUser, database devUser) setup'],
    says: /role admin: set REPLICATION; role devUser: create with LOGIN; database testUser: set owner, postgres -> testUser; database devUser: create/,
  },
  {
    name: "what else is not as declared of the API's role is not told where it is missing a right to log in",
    told: has({ roles: new Map(roles).set(ROLE, role({ login: false, connectionLimit: 3 })) }),
    finds: [`error role-no-login (${ROLE}) setup`],
    says: /NOLOGIN/,
  },
  {
    name: 'and is told where it is not',
    told: has({ roles: new Map(roles).set(ROLE, role({ connectionLimit: 3 })) }),
    finds: [`warning manifest-drift (role ${ROLE}) setup`],
  },
  {
    name: 'a database of another role, which is why there is no right to make tables',
    told: {
      needs: known(needs({ creates: false })),
      server: up(
        {},
        {
          cluster: known(cluster({ databases: new Map(databases).set(DATABASE, 'postgres') })),
          contents: known(contents({ createsInPublic: false })),
        },
      ),
    },
    finds: [`error database-owner (${DATABASE}) setup`],
    says: /it belongs to postgres, not to endoregDbLocal/,
  },
  {
    name: 'nothing is said of rights where there is nobody to have them',
    told: { server: up({ mayConnect: null }) },
    finds: [],
  },
  {
    name: 'databases of others to which nobody can connect',
    told: {
      server: up(
        {},
        {
          closed: known([
            { name: 'devUser', state: 'closed', why: 'it takes no connections' },
            { name: 'lab', state: 'invalid', why: 'it is marked invalid' },
            { name: 'museum', state: 'locale', why: 'no such locale' },
            { name: 'store', state: 'unusable', why: 'its folder is missing' },
          ]),
        },
      ),
    },
    finds: [
      'warning database-closed (devUser)',
      'warning database-invalid (lab)',
      'warning database-locale (museum)',
      'warning database-unusable (store)',
    ],
    says: /backup-postgres leaves it out, and says so.*ALLOW_CONNECTIONS true.*DROP DATABASE "lab".*locale-gen.*findmnt/s,
  },
  {
    name: 'a database of the manifest whose dropping was interrupted keeps the setup from all of them',
    told: {
      server: up(
        {},
        {
          cluster: BROKEN,
          closed: known([{ name: 'devUser', state: 'invalid', why: 'it is marked invalid' }]),
        },
      ),
    },
    finds: ['error database-invalid (devUser)'],
    says: /the setup cannot provision.*remedy: DROP DATABASE "devUser", then: postgres-endoreg-setup; what was in it/s,
    unseen: ['roles and databases: the device reports an input/output error'],
  },
  {
    name: 'a standby has its databases from the primary, and its locales not',
    told: {
      server: up(
        {},
        {
          cluster: known(cluster(STANDBY)),
          closed: known([
            { name: 'lab', state: 'closed', why: 'it takes no connections' },
            { name: 'museum', state: 'locale', why: 'no such locale' },
          ]),
        },
      ),
    },
    finds: ['warning database-closed (lab)', 'warning database-locale (museum)', standby],
    says: /remedy: on the primary.*remedy: install that locale/s,
  },
  {
    name: 'databases that could not be tried, each reason once',
    told: {
      server: up(
        {},
        {
          closed: known([
            { name: 'devUser', state: 'unknown', why: 'no answer in time' },
            { name: 'lab', state: 'closed', why: 'it takes no connections' },
            { name: 'museum', state: 'unknown', why: 'no answer in time' },
            { name: 'testUser', state: 'unknown', why: 'of these only 8' },
          ]),
        },
      ),
    },
    finds: ['warning database-closed (lab)'],
    unseen: [
      'whether anybody can connect to devUser, museum: no answer in time',
      'whether anybody can connect to testUser: of these only 8',
    ],
  },
  {
    name: 'which databases take connections cannot be seen',
    told: { server: up({}, { closed: BROKEN }) },
    finds: [],
    unseen: ['which databases take connections: the device reports an input/output error'],
  },
  {
    name: 'a standby, which is advice',
    told: has(STANDBY),
    finds: [standby],
    says: /none, where that is meant; else pg_promote\(\)/,
  },
  {
    name: 'a standby has its roles and databases from the primary, where they are mended',
    told: has({ ...STANDBY, roles: less(roles, ROLE, 'devUser') }),
    finds: [`error role-missing (${ROLE})`, 'warning manifest-drift (role devUser)', standby],
    says: /remedy: on the primary: postgres-endoreg-setup$/m,
  },
  {
    name: 'a manifest that gives a database to a role that nobody has',
    told: {
      ...has({ databases: less(databases, 'devUser') }),
      manifest: {
        roles: [],
        databases: [
          { name: DATABASE, owner: ROLE },
          { name: 'devUser', owner: 'nobody-here' },
        ],
        hba: [],
        ident: [],
      },
    },
    finds: ['error manifest-unusable (the manifest that ships)'],
    says: /there is no such role, and the manifest does not declare it.*Declare the role/s,
  },
]

const COPY = `${CHECKOUT}/conf/db_pwd`
const OTHER = 'other password'
const agree = (
  copyIsVault: Agreement['copyIsVault'],
  vaultIsVerifier: Agreement['vaultIsVerifier'],
  copyIsVerifier: Agreement['copyIsVerifier'],
) => ({ agreement: { copyIsVault, vaultIsVerifier, copyIsVerifier } })
const onStandby = { server: up({}, { cluster: known(cluster(STANDBY)) }) }

/** Vault, PostgreSQL and db_pwd: the one that differs is told, and only that. */
export const PASSWORDS: readonly Case[] = [
  {
    name: "the vault's differs",
    told: agree(false, OTHER, 'same'),
    finds: [`error password-vault (${VAULT}) setup`],
    says: /than PostgreSQL and db_pwd, which agree.*sync-password makes all three agree/s,
  },
  {
    name: 'all three differ',
    told: agree(false, OTHER, OTHER),
    finds: [`error password-all (${ROLE}) setup`],
    says: /three different passwords/,
  },
  {
    name: "PostgreSQL's differs",
    told: agree(true, OTHER, OTHER),
    finds: [`error password-postgres (${ROLE}) setup`],
    says: /than the vault and db_pwd, which agree/,
  },
  {
    name: "PostgreSQL's differs, and db_pwd cannot be seen",
    told: agree(undefined, OTHER, undefined),
    finds: [`error password-postgres (${ROLE}) setup`],
    says: /PostgreSQL holds another password than the vault$/m,
  },
  {
    name: "db_pwd's differs",
    told: agree(false, 'same', OTHER),
    finds: [`error password-copy (${COPY}) install`],
    says: /than the vault and PostgreSQL, which agree/,
  },
  {
    name: "db_pwd's differs from the vault's, and PostgreSQL cannot be asked",
    told: agree(false, undefined, undefined),
    finds: [`error password-copy (${COPY}) install`],
    says: /it holds another password than the vault$/m,
  },
  { name: 'what cannot be seen is not told', told: agree(undefined, undefined, undefined), finds: [] },
  ...(
    [
      ['no password', 'role-no-password', /the role has no password/],
      ['md5', 'role-md5', /PostgreSQL is giving md5 up/],
      ['unusable', 'role-verifier', /none that PostgreSQL or this program can use/],
    ] as const
  ).flatMap(([state, id, says]) => [
    {
      name: `PostgreSQL keeps ${state}: that db_pwd differs too is not told`,
      told: agree(false, state, state),
      finds: [`error ${id} (${ROLE}) setup`],
      says,
    },
    {
      name: `PostgreSQL keeps ${state}, as only db_pwd shows`,
      told: agree(undefined, undefined, state),
      finds: [`error ${id} (${ROLE}) setup`],
    },
    {
      name: `a standby keeps ${state}`,
      told: { ...agree(true, state, state), ...onStandby },
      finds: [`error ${id} (${ROLE})`, standby],
      says: /set the password on the primary: sync-password/,
    },
  ]),
  {
    name: 'a standby has the password of its primary',
    told: { ...agree(true, OTHER, OTHER), ...onStandby },
    finds: [`error password-postgres (${ROLE})`, standby],
    says: /a rotation on the primary leaves this behind.*copy the vault file of the primary to \S+, then run endo-api-boot/s,
  },
  {
    name: "a standby's copy that differs from the vault, which is the primary's",
    told: { ...agree(false, 'same', OTHER), ...onStandby },
    finds: [`error password-copy (${settings.apiDir}/conf/db_pwd) install`, standby],
    says: /remedy: endo-api-boot installs it/,
  },
  {
    name: 'a standby has rights and the state of its databases from its primary',
    told: {
      server: up(
        { mayConnect: false },
        {
          cluster: known(cluster(STANDBY)),
          closed: known([{ name: DATABASE, state: 'closed', why: 'it takes no connections' }]),
        },
      ),
    },
    finds: [`error database-closed (${DATABASE})`, `error database-connect (${DATABASE})`, standby],
    says: /on the primary, see why: debug-postgres.*on the primary: GRANT CONNECT/s,
  },
  {
    name: 'a standby has its subscriptions from its primary, and its libraries from nobody',
    told: {
      server: up(
        {
          aside: [{ database: 'kept', subscription: 'lab' }],
          collations: [{ database: DATABASE, stored: '2.36', actual: '2.41' }],
        },
        { cluster: known(cluster(STANDBY)) },
      ),
    },
    finds: ['warning subscription-aside (lab in kept)', `warning collation-version (${DATABASE})`, standby],
    says: /on the primary, in kept: ALTER SUBSCRIPTION.*let this host have the primary's version of the library/s,
  },
  {
    name: 'of a role that is missing no password is told',
    told: { ...agree(true, 'no password', 'no password'), ...has({ roles: less(roles, ROLE) }) },
    finds: [`error role-missing (${ROLE}) setup`],
  },
  {
    name: 'an expired password that differs is both',
    told: { ...agree(true, OTHER, OTHER), server: up({}, { cluster: known(withRole({ validUntil: 0 })) }) },
    finds: [`error role-expired (${ROLE}) setup`, `error password-postgres (${ROLE}) setup`],
  },
]
