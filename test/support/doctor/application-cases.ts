import { posix } from 'node:path'
import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../../lib/doctor/facts/gather.ts'
import { Password } from '../../../lib/frame/password.ts'
import { localSettings } from '../../../lib/provision/local-settings.ts'
import type { Case } from './cases.ts'
import {
  BROKEN,
  backup,
  CHECKOUT,
  checkout,
  closedAt,
  DENIED,
  NOW,
  notUp,
  password,
  settings,
  stat,
  traversals,
  units,
  yaml,
} from './facts.ts'

const HOME = posix.dirname(CHECKOUT)
const PWD = `${CHECKOUT}/conf/db_pwd`
const YAML = `${CHECKOUT}/conf/db.yaml`
const LOCAL = `${CHECKOUT}/local_settings.py`
const KEY = `${CHECKOUT}/conf/secret_key`
const LEFT = `${HOME}/secrets/vault/SCRT_local_password_maintenance_password`
const elsewhere = { ...settings, apiSecretKeyFile: '/etc/secrets/vault/django_secret_key' }
/** What a restore with other ids leaves. */
const OTHER = stat(61_234, 61_234, 0o40750)
const RESTORED = { [HOME]: OTHER, [CHECKOUT]: OTHER }
const CLOSED = {
  state: 'unusable',
  why: 'it belongs to 400:101, and endoreg-service-user could not read it',
  closed: true,
} as const
const READ_ONLY = { why: 'the file system is mounted read-only', hint: 'Remount it writable.' }
const account = { name: 'admin', uid: 1000, gid: 1000 }

/** What is installed for the API. */
export const APPLICATION: readonly Case[] = [
  {
    name: 'no checkout',
    told: { checkout: known(undefined) },
    finds: [`error checkout-missing (${CHECKOUT})`],
    says: /sudo -u endoreg-service-user git clone --branch main REPOSITORY .*ENDOREG_API_DIR/,
  },
  {
    name: 'no checkout yet of a repository that is known',
    told: { checkout: known(undefined), settings: { ...settings, apiRepository: 'https://git.example/x' } },
    finds: [`error checkout-missing (${CHECKOUT}) install`],
    says: /endo-api-boot clones it/,
  },
  {
    name: 'no checkout, as far as this account can see',
    told: { checkout: known(undefined), root: false, pathToCheckout: traversals(CHECKOUT, DENIED) },
    finds: [],
    unseen: [`the checkout ${CHECKOUT}: permission denied`],
  },
  {
    name: 'a checkout that is not for this account to look at',
    told: { checkout: DENIED, root: false },
    finds: [],
    unseen: [`the checkout ${CHECKOUT}: permission denied`],
  },
  {
    name: 'a home that keeps its own account out',
    told: { checkout: DENIED, pathToCheckout: traversals(CHECKOUT, closedAt(HOME)) },
    finds: [`error folder-closed (${HOME}) folders`],
    says: /chown endoreg-service-user:endoreg-service \S+ && chmod 0750/,
  },
  {
    name: 'a configuration that cannot be read',
    told: { checkout: BROKEN },
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /its configuration cannot be read: the device reports.*remedy: Look at the disk\./s,
  },
  {
    name: 'a home that was restored with other ids, all in it too',
    told: { checkout: DENIED, pathToCheckout: traversals(CHECKOUT, closedAt(HOME), RESTORED) },
    finds: [`error folder-closed (${HOME})`],
    says: /remedy: chown -R endoreg-service-user:endoreg-service \/var\/endoreg-service-user$/m,
  },
  {
    name: 'a checkout that was restored with other ids, in a home that is right',
    told: {
      checkout: DENIED,
      pathToCheckout: traversals(CHECKOUT, closedAt(CHECKOUT), RESTORED, [CHECKOUT]),
    },
    finds: [`error folder-closed (${CHECKOUT})`],
    says: /remedy: chown -R endoreg-service-user:endoreg-service \S+\/endo-api$/m,
  },
  {
    name: 'a checkout with other ids that may be entered, and not be read',
    told: { checkout: DENIED, pathToCheckout: traversals(CHECKOUT, known({ folders: [] }), RESTORED) },
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /endoreg-service-user is refused, permission denied; it belongs to 61234:61234\n.*\n.*remedy: chown -R endoreg-service-user:endoreg-service \S+ && chmod -R u\+rwX/,
  },
  {
    name: 'a checkout of which only the secrets are closed, both: one cause',
    told: {
      ...checkout(CLOSED, undefined, { key: CLOSED }),
      ...units({ 'endo-api-boot.service': { active: 'failed' } }),
    },
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /it belongs to 400:101, and endoreg-service-user could not read it, nor conf\/secret_key\n.*\n.*remedy: chown -R endoreg-service-user:endoreg-service \S+\n.*so it follows: unit-failed/,
  },
  {
    name: 'a restored checkout whose db_pwd is closed, and whose local_settings.py is taken for a person’s own',
    told: {
      ...checkout(CLOSED, undefined, { local: { state: 'foreign' } }),
      pathToCheckout: traversals(CHECKOUT, known({ folders: [] }), RESTORED),
    },
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /remedy: chown -R/,
  },
  {
    name: 'a SECRET_KEY that the service account may not read is given back, and no new one made',
    told: checkout(undefined, undefined, { key: CLOSED }),
    finds: [`error key-unusable (${KEY})`],
    says: /it belongs to 400:101, and .*remedy: chown endoreg-service-user:endoreg-service \S+secret_key && chmod 0600/s,
  },
  {
    name: 'a checkout on a disk that is read-only, so that another password of the vault does not get there',
    told: {
      ...checkout(undefined, undefined, { blocked: READ_ONLY }),
      agreement: { copyIsVault: false, vaultIsVerifier: 'same', copyIsVerifier: 'other password' },
    },
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /nothing can be installed in it: the file system is mounted read-only\n.*\n.*remedy: Remount it writable\.\n.*so it follows: password-copy/,
  },
  {
    name: 'no db_pwd on a disk that is read-only',
    told: checkout({ state: 'missing' }, undefined, { blocked: READ_ONLY }),
    finds: [`error checkout-unusable (${CHECKOUT})`],
    says: /so it follows: copy-missing/,
  },
  {
    name: 'a checkout on a disk that is read-only, with all that is to be there',
    told: checkout(undefined, undefined, { blocked: READ_ONLY }),
    finds: [],
  },
  {
    name: 'neither db_pwd nor db.yaml',
    told: checkout({ state: 'missing' }, null),
    finds: [`error copy-missing (${PWD}) install`, `error settings-missing (${YAML}) install`],
    says: /systemctl restart endo-api-boot/,
  },
  {
    name: 'a db_pwd that is none',
    told: checkout({ state: 'unusable', why: 'it was a link' }),
    finds: [`error copy-unusable (${PWD}) install`],
    says: /it gives no password, because it was a link/,
  },
  {
    name: 'a db_pwd of another owner',
    told: checkout({ state: 'file', password, drift: 'set owner and mode, root:root 0644 -> x:x 0600' }),
    finds: [`error copy-ownership (${PWD}) install`],
    says: /it is root:root 0644, not x:x 0600/,
  },
  {
    name: 'a db.yaml that is no YAML',
    told: checkout(undefined, 'a: [b\n'),
    finds: [`error settings-unusable (${YAML})`],
    says: /the API cannot read where its database is/,
  },
  {
    name: 'a db.yaml that points elsewhere',
    told: checkout(undefined, yaml.replace('localhost', 'db.example').replace('5432', '5433')),
    finds: [`error settings-differ (${YAML}) install`],
    says: /another host, port than the settings say/,
  },
  {
    name: 'no local_settings.py',
    told: checkout(undefined, undefined, { local: { state: 'missing' } }),
    finds: [`error local-settings-missing (${LOCAL}) install`],
    says: /the API makes its settings itself/,
  },
  {
    name: 'a local_settings.py from before a setting was changed',
    told: { ...checkout(), settings: { ...settings, apiLogLevel: 'ERROR' } },
    finds: [`warning local-settings-differ (${LOCAL}) install`],
    says: /another one than the settings make/,
  },
  {
    name: "a person's local_settings.py that goes elsewhere",
    told: checkout(undefined, undefined, {
      local: { state: 'foreign', text: 'DATABASES = {"default": {"HOST": "db.example", "PASSWORD": "x"}}' },
    }),
    finds: [`warning local-settings-foreign (${LOCAL})`],
    says: /another HOST than the settings say; it holds a password in plain.*is yours, and left as it is/s,
  },
  {
    name: 'a copy and a db.yaml from which a person’s local_settings.py takes the password',
    told: {
      ...checkout(undefined, `${yaml}password: 123\n`, {
        key: { state: 'unusable', why: 'it is theirs' },
        local: { state: 'foreign', text: `SECRET = open("${LEFT}").read()\n` },
      }),
      strays: known([{ path: LEFT, account, password }]),
    },
    finds: [
      `warning local-settings-foreign (${LOCAL})`,
      `warning password-in-settings (${YAML})`,
      `warning password-left (${LEFT})`,
    ],
    says: /says nothing of the database/,
  },
  {
    name: "a person's local_settings.py that is none",
    told: checkout(undefined, undefined, { local: { state: 'foreign' } }),
    finds: [`warning local-settings-foreign (${LOCAL})`],
    says: /no file of text/,
  },
  {
    name: "a person's local_settings.py that agrees",
    told: checkout(undefined, undefined, {
      local: { state: 'foreign', text: `# mine\n${localSettings(settings)}` },
    }),
    finds: [],
  },
  {
    name: 'no SECRET_KEY',
    told: checkout(undefined, undefined, { key: { state: 'missing' } }),
    finds: [`error key-missing (${KEY}) install`],
    says: /does not start without its SECRET_KEY/,
  },
  {
    name: 'no SECRET_KEY of ours, but one that another tool provides',
    told: {
      ...checkout(undefined, undefined, {
        key: { state: 'missing' },
        local: { state: 'ours', text: localSettings(elsewhere), mode: 0o640 },
      }),
      settings: elsewhere,
    },
    finds: [],
  },
  {
    name: 'a SECRET_KEY that is none',
    told: checkout(undefined, undefined, { key: { state: 'unusable', why: 'it is a folder' } }),
    finds: [`error key-unusable (${KEY})`],
    says: /it holds no key: it is a folder/,
  },
  {
    name: 'a SECRET_KEY that a link leads to',
    told: checkout(undefined, undefined, { key: { state: 'link' } }),
    finds: [],
  },
  {
    name: "the vault's password in plain in db.yaml",
    told: checkout(undefined, `${yaml}password: of a test\n`),
    finds: [`warning password-in-settings (${YAML}) strays`],
    says: /it has the password of the vault in plain/,
  },
  {
    name: 'another password in plain in db.yaml, and in a home',
    told: {
      ...checkout(undefined, `${yaml}password: 123\n`),
      strays: known([{ path: LEFT, account, password: new Password('older') }]),
    },
    finds: [`warning password-in-settings (${YAML}) strays`, `warning password-left (${LEFT}) strays`],
    says: /it has another password than the vault, an earlier one perhaps, in plain/,
  },
  {
    name: 'a copy in a home that NixOS makes again',
    told: { strays: known([{ path: LEFT, account, password }]), nixos: true },
    finds: [`warning password-left (${LEFT}) strays`],
    says: /the password of the vault in plain.*endoreg-service-user-deploy-secretfile-postgres/s,
  },
  {
    name: 'homes that are not for this account to look into',
    told: { strays: DENIED, root: false },
    finds: [],
    unseen: ['copies of the password in homes: permission denied'],
  },
]

/** Backups, and a reset that was interrupted. */
const journal = {
  format: 1 as const,
  begun: '2026-11-25T01:00:00.000Z',
  aside: 'main.before-reset-2026-11-25T01-00-00Z',
  cluster: {
    maker: 'debian' as const,
    name: '16/main',
    major: 16,
    port: 5432,
    data: '/var/lib/postgresql/16/main',
    unit: 'postgresql@16-main.service',
    recipe: {
      collate: 'C',
      ctype: 'C',
      provider: 'c',
      locale: null,
      icuRules: null,
      checksums: true,
      walSegmentSize: 16_777_216,
      groupAccess: false,
      superuser: 'postgres',
    },
  },
  around: { companions: [], dependants: [], jobs: [] },
}
const interrupted = (
  action: 'reset' | 'undo',
  { there = true, moved = true, busy = false }: { there?: boolean; moved?: boolean; busy?: boolean } = {},
) => ({
  reset: known({
    ...{ there, moved, busy },
    journal:
      action === 'reset'
        ? { ...journal, action, prepared: true, backup: null }
        : { ...journal, action, away: 'main.before-undo-2026-11-25T01-00-00Z' },
  }),
})
const ABSENT = notUp('absent', undefined, 'there is no socket at /run/postgresql port 5432')

/** The last backup has failed so many seconds ago. */
const failedBackup = (age: number): Pick<Facts, 'backupUnits'> => ({
  backupUnits: known({
    failed: {
      result: 'exit-code',
      status: 74,
      age,
      lastError: 'cannot write /var/backups/endoreg: no space',
    },
    timer: undefined,
  }),
})

export const MAINTENANCE: readonly Case[] = [
  {
    name: 'no backup, which is advice',
    told: { backups: known({ backups: [], unusable: [] }) },
    finds: ['notice backup-none (/var/backups/endoreg)'],
    says: /systemctl enable --now endoreg-backup\.timer/,
  },
  {
    name: 'an old backup, and one that is none',
    told: {
      backups: known({
        backups: [backup(new Date('2026-11-01T12:00:00Z'))],
        unusable: [{ name: '2026-11-25T02-00-00Z', why: 'a.dump is missing' }],
      }),
    },
    finds: ['warning backup-unusable (2026-11-25T02-00-00Z)', 'warning backup-old (2026-11-26T02-00-00Z)'],
    says: /is none: a\.dump is missing[\s\S]*the last complete backup is 25 days old[\s\S]*journalctl -u endoreg-backup/,
  },
  {
    name: 'the backup of last night has failed, and that is why there is only an old one',
    told: {
      backups: known({ backups: [backup(new Date('2026-11-01T12:00:00Z'))], unusable: [] }),
      ...failedBackup(36_000),
    },
    finds: ['warning backup-failed (endoreg-backup.service)'],
    says: /it has failed 10 hours ago \(exit-code, 74\); its last error: cannot write.*journalctl -u endoreg-backup.*backup-old/s,
  },
  {
    name: 'the very first backup has failed',
    told: { backups: known({ backups: [], unusable: [] }), ...failedBackup(60) },
    finds: ['warning backup-failed (endoreg-backup.service)'],
  },
  {
    name: 'a backup that has failed, and one that somebody has made since',
    told: { backups: known({ backups: [backup(NOW)], unusable: [] }), ...failedBackup(60) },
    finds: [],
  },
  {
    name: 'a timer that starts no backup any more',
    told: { backupUnits: known({ failed: undefined, timer: 'not enabled' }) },
    finds: ['notice backup-timer (endoreg-backup.timer)'],
    says: /it is not enabled.*systemctl enable --now endoreg-backup\.timer/s,
  },
  {
    name: 'no backup and no timer, which is one thing',
    told: {
      backups: known({ backups: [], unusable: [] }),
      backupUnits: known({ failed: undefined, timer: 'not started' }),
    },
    finds: ['notice backup-none (/var/backups/endoreg)'],
  },
  {
    name: 'a backup without one of the databases',
    told: {
      backups: known({
        backups: [backup(NOW, { unread: [{ name: 'images', why: 'invalid page in block 7' }] })],
        unusable: [],
      }),
    },
    finds: ['warning backup-lacking (images)'],
    says: /the database images is not in the last backup, .*: invalid page in block 7/,
  },
  {
    name: 'a backup of tomorrow, which an earlier one is older than all the same',
    told: {
      backups: known({ backups: [backup(new Date('2026-11-28T12:00:00Z')), backup(NOW)], unusable: [] }),
    },
    finds: ['notice backup-future (2026-11-26T02-00-00Z)'],
    says: /timedatectl/,
  },
  {
    name: 'the newest backup counts, though there are older ones',
    told: {
      backups: known({ backups: [backup(new Date('2026-11-01T12:00:00Z')), backup(NOW)], unusable: [] }),
    },
    finds: [],
  },
  {
    name: 'backups that cannot be looked at',
    told: { backups: DENIED },
    finds: [],
    unseen: ['backups: permission denied'],
  },
  {
    name: 'a reset was interrupted, with a server all the same',
    told: interrupted('reset'),
    finds: ['warning reset-interrupted (cluster 16/main)'],
    says: /a reset of 2026-11-25T01:00:00\.000Z was interrupted when the data was set aside as main\S+$.*reset-psql-safe goes on with it/ms,
  },
  {
    name: 'with a new cluster whose server is down',
    told: { ...ABSENT, ...interrupted('reset'), attempts: [] },
    finds: ['error reset-interrupted (cluster 16/main) start'],
  },
  {
    name: 'a reset was interrupted and had moved nothing: it needs no decision',
    told: interrupted('reset', { moved: false }),
    finds: ['warning reset-interrupted (cluster 16/main) undo'],
    says: /was interrupted before anything was moved$.*--undo only starts what it had stopped/ms,
  },
  {
    name: 'an undo was interrupted, and that is why the server is down',
    told: { ...ABSENT, ...interrupted('undo'), attempts: [] },
    finds: ['error reset-interrupted (cluster 16/main) undo'],
    says: /an undo of .* was interrupted when main\S+ was the data folder again$.*no data is lost.*reset-psql-safe --undo finishes it/ms,
  },
  {
    name: 'an undo was interrupted between the two folders',
    told: { ...ABSENT, ...interrupted('undo', { there: false, moved: false }), attempts: [] },
    finds: ['error reset-interrupted (cluster 16/main) undo'],
    says: /was interrupted before main\S+ came back; there is no data folder in/,
  },
  {
    name: 'a reset that may be at work',
    told: { ...ABSENT, ...interrupted('reset', { moved: false, busy: true }), attempts: [] },
    finds: ['error reset-interrupted (cluster 16/main)'],
    says: /a reset of .* is not finished, and a backup, restore, drill or reset is at work now$.*wait for its end/ms,
  },
  {
    name: 'a reset was interrupted, with no data to start a server on',
    told: { ...ABSENT, ...interrupted('reset', { there: false }), attempts: [] },
    finds: ['error reset-interrupted (cluster 16/main)'],
    says: /was set aside as main\S+; there is no data folder in \/var\/lib\/postgresql\/16\/main/,
  },
  {
    name: 'whether a reset was interrupted cannot be seen by root',
    told: { reset: DENIED },
    finds: [],
    unseen: ['whether a reset was interrupted: permission denied'],
  },
  {
    name: 'or by another account, which has no business there',
    told: { reset: DENIED, root: false },
    finds: [],
  },
]
