import type { Severity } from '../../frame/finding.ts'
import { identifier } from '../../server/sql.ts'

/** What fix-postgres can do about a finding: each is a remedy of `remedies/all.ts`, which says what it does. */
export type Fix =
  | 'accounts'
  | 'folders'
  | 'hosts'
  | 'undo'
  | 'start'
  | 'trust-rule'
  | 'listen'
  | 'reload'
  | 'setup'
  | 'schema'
  | 'objects'
  | 'install'
  | 'strays'
  | 'units'

/**
 * What has to succeed on a host, one after the other: PostgreSQL starts, the setup does its work and at its end proves the
 * login, endo-api-boot, the API.
 */
export const STEPS = ['server', 'setup', 'proof', 'boot', 'api'] as const
export type Step = (typeof STEPS)[number]

/** A text, or how it is made of the subject of the finding. */
type Text = string | ((subject: string) => string)

/** What a finding says on every host. What depends on the host is empty here, or the usual, and said where it is found. */
export type Meaning = {
  readonly severity: Severity
  /** What it means for the API. */
  readonly meaning: Text
  /** A command or an option. */
  readonly remedy: Text
  /** What fix-postgres does about it; undefined where a person has to. */
  readonly fix?: Fix | undefined
  /** As an error, the first step that cannot succeed while it stands; undefined where none is known not to. */
  readonly blocks?: Step | undefined
}

type More = Partial<Pick<Meaning, 'remedy' | 'fix' | 'blocks'>>
const meaning = (severity: Severity, text: Text, more: More): Meaning => ({
  severity,
  meaning: text,
  remedy: '',
  ...more,
})
const error = (text: Text, more: More = {}): Meaning => meaning('error', text, more)
const warning = (text: Text, more: More = {}): Meaning => meaning('warning', text, more)
const notice = (text: Text, more: More = {}): Meaning => meaning('notice', text, more)

// What several of them say.
const NO_PASSWORD = 'the API has no password to log in with'
const NO_LOGIN = 'the API cannot log in'
const WRONG_PASSWORD = 'the API cannot log in: password authentication fails'
const NOT_AT_BOOT = 'it does not start at the next boot, and nothing that needs it'
const refusedAt = (address: string): string => `PostgreSQL refuses the API at ${address}`

const INSTALL: More = {
  remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
  fix: 'install',
  blocks: 'api',
}
const RELOAD: More = { remedy: 'systemctl reload postgresql', fix: 'reload' }
const UPGRADE = 'plan the move to a newer version (pg_upgrade)'
const SETUP: More = { remedy: 'postgres-endoreg-setup', fix: 'setup', blocks: 'proof' }
const SYNC: More = { remedy: 'sync-password', fix: 'setup', blocks: 'proof' }
const AGREE: More = {
  remedy: 'sync-password makes all three agree on that of the vault',
  fix: 'setup',
  blocks: 'proof',
}
const start = (name: string): string => `systemctl start ${name}`
const withoutUnit = (name: string): string =>
  name === 'endo-api.service' ? 'the API does not run' : 'so the API is not started'

/** All that can be found, by family, and how bad it is. The ids never change: scripts know them. */
export const FINDINGS = {
  'account-missing': error('', { fix: 'accounts', blocks: 'boot' }),
  'group-missing': error('', { fix: 'accounts', blocks: 'boot' }),
  'membership-missing': error(
    'the service account cannot read the vault file, so endo-api-boot fails and the API does not start',
    { fix: 'accounts', blocks: 'boot' },
  ),

  'vault-unusable': error('neither the setup nor the API has a password to work with', {
    remedy: path => `look at it: namei -l ${path}`,
    blocks: 'setup',
  }),
  'vault-missing': error('there is no password to provision PostgreSQL and the API with', {
    remedy: 'postgres-endoreg-setup generates a new one',
    fix: 'setup',
    blocks: 'setup',
  }),
  'vault-elsewhere': error('the setup makes no new password beside the one in use, and ends with that', {
    remedy: 'correct ENDOREG_VAULT_FILE, or move the vault file to its new place',
    blocks: 'setup',
  }),
  'vault-in-store': warning(
    'every account can read the store, and copies of it, so the password is no secret',
    { remedy: 'keep it outside of the store (sops-nix, agenix), then run: sync-password --rotate' },
  ),
  'vault-exposed': warning('whoever has an account on this host may know the password of the API', {
    remedy: 'let the tool that makes it give it a stricter mode, then rotate the password',
  }),
  'vault-folder': warning(
    'the service account may not get to the password, or others may who should not',
    SETUP,
  ),
  'vault-ownership': error(
    'the service account may not be able to read the password, or its owner to replace it',
    SETUP,
  ),
  'vault-unreadable': error(
    'endo-api-boot cannot read the password, unless its unit passes it as a credential',
    {
      remedy: path =>
        `look at every owner, mode and access control list on the way: namei -l ${path}; getfacl ${path}`,
      blocks: 'boot',
    },
  ),
  'vault-hidden': error(
    'they cannot read the password, and fail at their next start, whoever may read it otherwise',
    {
      remedy: path =>
        `move what is there out of the homes (to /srv, say), with owners and modes, and let ${path} lead there; then: systemctl restart postgres-endoreg-setup`,
      blocks: 'setup',
    },
  ),
  'folder-closed': error('', { blocks: 'boot' }),

  'reset-interrupted': warning('no data is lost, and not every unit may be started', { blocks: 'setup' }),

  'port-foreign': error('the API talks to it instead of its database, and PostgreSQL cannot listen there', {
    blocks: 'setup',
  }),
  'socket-elsewhere': error(
    'the setup does not find PostgreSQL there and waits for it, and the API with the setup',
    { blocks: 'setup' },
  ),
  'cluster-other': error(
    'the data of the API is in the cluster that is down; the setup makes nothing in an empty one beside it',
    { blocks: 'setup' },
  ),
  'server-down': error(
    'there is no database for the API; the setup waits for it, and the API with the setup',
    { remedy: 'start PostgreSQL; its log says why it stopped', fix: 'start', blocks: 'setup' },
  ),
  'server-missing': error('there is no database for the API, and nothing to provision', {
    remedy:
      'install PostgreSQL (Debian: apt install postgresql; NixOS: services.postgresql.enable = true), or set PGHOST to where it is',
    blocks: 'server',
  }),
  'server-not-ready': error('nobody can log in yet; the setup waits until it is ready', { blocks: 'setup' }),
  'server-standby': notice(
    'roles, databases and passwords come from the primary, and the API cannot write here',
    { remedy: 'none, where that is meant; else pg_promote()' },
  ),
  'standby-alone': error(
    'the API can write nothing, and what others write never comes here: a copy or a restore may have left it so',
    {
      remedy:
        'where this is the server of the API, let it write: SELECT pg_promote(); where it is meant to be a standby, set primary_conninfo to its primary and restart it',
      blocks: 'api',
    },
  ),
  'server-patroni': notice(
    'Patroni writes its access rules and settings, starts and stops it; here they are only compared',
    { remedy: "none; what is missing goes into Patroni's configuration" },
  ),
  'administrator-refused': error('the setup cannot provision roles, databases and the password', {
    remedy: 'look at PGHOST, PGUSER and ENDOREG_PG_OS_USER',
    blocks: 'setup',
  }),
  'server-unreadable': error('the setup cannot read it either, and fails', { blocks: 'setup' }),
  'connections-exhausted': error('the API gets no connection either', { blocks: 'setup' }),
  'connections-many': warning('the API may soon get none', {
    remedy: 'see who holds them (SELECT * FROM pg_stat_activity), or raise max_connections',
  }),
  'subscription-aside': warning(
    'what its publisher sends goes there, and not into the database that is in use',
  ),

  'name-unresolved': error('the API finds no address to connect to', {
    remedy: host => `put ${host} into /etc/hosts, or correct ENDOREG_DB_HOST`,
    blocks: 'setup',
  }),
  'hosts-loopback': warning(
    address =>
      `a server that listens at localhost does not serve ${address}, and whoever connects to it is refused`,
    { fix: 'hosts' },
  ),
  'ipv6-off': error('the API tries an address that this host does not have', {
    remedy:
      'turn IPv6 on there (echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6; for good: /etc/sysctl.d), or take ::1 out of /etc/hosts',
    blocks: 'proof',
  }),

  'hba-no-rule': error(refusedAt, { blocks: 'proof' }),
  'hba-rejected': error(refusedAt, { blocks: 'proof' }),
  'hba-method': error(
    address => `PostgreSQL asks the API at ${address} for something else than the proof of its password`,
    { blocks: 'proof' },
  ),
  'rules-invalid': warning(
    'PostgreSQL goes on with the rules from before, and does not start again with these',
    { remedy: 'correct the line, then: systemctl reload-or-restart postgresql' },
  ),
  'rules-not-loaded': warning('PostgreSQL works with other rules than the file says, until its next start', {
    ...RELOAD,
    blocks: 'proof',
  }),
  'rules-differ': warning('who may log in, and how, is decided otherwise than the manifest declares'),
  'trust-superuser': warning('every account of this host can read and change everything, passwords too', {
    blocks: 'proof',
  }),
  'trust-rule': warning('every account of this host can work as that role', { blocks: 'proof' }),
  'address-not-served': error(
    addresses =>
      addresses.includes(',')
        ? `the API is refused at ${addresses}`
        : `the API is refused at ${addresses}; if it tries that address only, it has no database`,
    { fix: 'listen', blocks: 'proof' },
  ),
  'login-failed': error(address => `the API cannot log in at ${address}`, { blocks: 'proof' }),

  'catalog-unusable': error('the setup cannot provision them', { blocks: 'setup' }),
  'role-missing': error(WRONG_PASSWORD, SETUP),
  'role-no-login': error(NO_LOGIN, SETUP),
  'role-expired': error(WRONG_PASSWORD, SETUP),
  'role-limit': error(NO_LOGIN, SETUP),
  'database-missing': error('the API has nowhere to keep its data', {
    ...SETUP,
    remedy: database =>
      `postgres-endoreg-setup makes an empty one; what was in it, a backup may have: restore-postgres --list, then: restore-postgres --database ${database}`,
  }),
  'database-owner': error("the API's migrations may not change it", { ...SETUP, blocks: 'api' }),
  'database-connect': error('the API is let in and then refused', { blocks: 'proof' }),
  'database-closed': error(NO_LOGIN, {
    remedy: database => `ALTER DATABASE ${identifier(database)} WITH ALLOW_CONNECTIONS true`,
    blocks: 'proof',
  }),
  'database-limit': error('the API gets no connection, or may soon get none', { blocks: 'proof' }),
  'objects-foreign': error('the API may not read or change them, and its migrations fail', { blocks: 'api' }),
  'schema-missing': error('the API finds none of its tables, and can make none', {
    fix: 'schema',
    blocks: 'api',
  }),
  'search-path': error('the API finds none of its tables, and can make none', { blocks: 'api' }),
  'database-invalid': error(NO_LOGIN, {
    remedy: database =>
      `DROP DATABASE ${identifier(database)}; what was in it may be in an older backup (restore-postgres --list)`,
    blocks: 'proof',
  }),
  'database-locale': error(NO_LOGIN, {
    remedy:
      'install that locale (Debian: name it in /etc/locale.gen, then locale-gen; NixOS: the option i18n.supportedLocales), then: systemctl restart postgresql',
    blocks: 'proof',
  }),
  'database-unusable': error(NO_LOGIN, {
    remedy: database =>
      `look whether the disk of its tablespace is mounted (findmnt); else drop ${database}, and restore it from a backup (restore-postgres --list)`,
    blocks: 'proof',
  }),
  'schema-create': error(
    "the API's migrations fail; since PostgreSQL 15 only the owner of the database has that right by itself",
    { blocks: 'api' },
  ),
  'session-cancelled': error('PostgreSQL breaks off what the API asks it', { blocks: 'api' }),
  'read-only': error('the API can write nothing', { blocks: 'api' }),
  'manifest-unusable': error('the setup cannot provision roles and databases', { blocks: 'setup' }),
  'manifest-drift': warning('roles and databases are not as the manifest declares them', SETUP),

  'role-no-password': error(WRONG_PASSWORD, SYNC),
  'role-md5': error(
    'the rules ask for SCRAM, which md5 cannot answer, and PostgreSQL is giving md5 up',
    SYNC,
  ),
  'role-verifier': error(NO_LOGIN, SYNC),
  'password-vault': error('the API logs in until its copy is installed again, and then no more', AGREE),
  'password-postgres': error(WRONG_PASSWORD, AGREE),
  'password-copy': error(WRONG_PASSWORD, { ...AGREE, fix: 'install', blocks: 'api' }),
  'password-all': error(WRONG_PASSWORD, AGREE),

  'checkout-missing': error('there is no API to start, and nowhere to install its configuration', {
    blocks: 'boot',
  }),
  'checkout-unusable': error('endo-api-boot cannot install what the API reads, and the API cannot read it', {
    blocks: 'boot',
  }),
  'copy-missing': error(NO_PASSWORD, INSTALL),
  'copy-unusable': error(NO_PASSWORD, INSTALL),
  'copy-ownership': error('the API may not be able to read it, or others may', {
    ...INSTALL,
    blocks: undefined,
  }),
  'settings-missing': error('the API connects somewhere else, or not at all', INSTALL),
  'settings-unusable': error('the API cannot read where its database is', { blocks: 'boot' }),
  'settings-differ': error('the API connects somewhere else, or not at all', INSTALL),

  'local-settings-missing': error('the API makes its settings itself, with the password in plain', {
    ...INSTALL,
    blocks: undefined,
  }),
  'local-settings-differ': warning('the API goes by settings from before', INSTALL),
  'local-settings-foreign': warning('the file is yours, and left as it is; the API goes by it', {
    remedy: path => `correct it, or move it away: mv ${path} ${path}.old; then endo-api-boot installs one`,
  }),
  'key-missing': error('the API does not start without its SECRET_KEY', INSTALL),
  'key-unusable': error('endo-api-boot installs nothing without it, and the API does not start', {
    blocks: 'boot',
  }),
  'password-in-settings': warning('whoever can read the file has the password, and it is not kept in step', {
    remedy: 'fix-postgres takes that line out, after asking',
    fix: 'strays',
  }),
  'password-left': warning('whoever can read the file has the password, and it is not kept in step', {
    remedy: 'fix-postgres removes the file, after asking',
    fix: 'strays',
  }),

  'units-missing': warning('nothing provisions this host and starts the API at its next boot', {
    remedy: 'install the package, or on NixOS the module',
  }),
  'unit-masked': error(NOT_AT_BOOT, { remedy: name => `systemctl unmask ${name}`, fix: 'units' }),
  'unit-disabled': warning(NOT_AT_BOOT, { remedy: name => `systemctl enable ${name}`, fix: 'units' }),
  'unit-failed': error(withoutUnit, {
    remedy: name => `systemctl restart ${name}; it says more: journalctl -u ${name}`,
    fix: 'units',
  }),
  'unit-dropped': error(withoutUnit, { remedy: start, fix: 'units' }),
  'unit-inactive': error(withoutUnit, { remedy: start, fix: 'units' }),
  'unit-starting': warning('what needs it waits for it', {
    remedy: name => `it says what it waits for: systemctl status ${name}`,
  }),
  'unit-restarted': error('whoever works with the API is interrupted each time', {
    remedy: name => `see what it says before it ends: journalctl -u ${name}`,
  }),
  'api-silent': error('the API runs and does not answer', {
    remedy: 'see what it does: journalctl -u endo-api; or correct ENDOREG_API_HEALTH_URL',
  }),
  'api-unwell': error('the API runs and is not well', {
    remedy: 'see what it says: journalctl -u endo-api; or correct ENDOREG_API_HEALTH_URL',
  }),
  'unit-overridden': notice('it does not do only what its package says', {
    remedy: name => `none, where that is meant; see: systemctl cat ${name}`,
  }),
  'unit-not-loaded': warning('systemd works with the file from before', {
    remedy: 'systemctl daemon-reload',
    fix: 'units',
  }),

  'disk-full': warning('PostgreSQL stops when it is full, and no password can be written', {
    remedy: path => `free some space: df -h ${path}; df -i ${path}`,
  }),

  'backup-failed': warning('there is no newer backup, or no copy of it elsewhere', {
    remedy: name =>
      `mend what it says (journalctl -u ${name}), then: systemctl reset-failed ${name}; systemctl start ${name}`,
  }),
  'backup-timer': notice('no backup is made by itself', {
    remedy: name =>
      `where another one makes backups, none is needed; else: systemctl unmask ${name}; systemctl enable --now ${name}`,
  }),
  'backup-future': notice(
    'the clock of this host was ahead then, or is behind now; which backup is newer is known all the same',
    { remedy: 'see whether the clock is right: timedatectl' },
  ),
  'backup-lacking': warning('what is in it cannot be restored from that; the other databases are saved', {
    remedy:
      'keep the older backups that have it (restore-postgres --list), and mend what is said there; then: backup-postgres',
  }),
  'backup-none': notice('what is in the databases is only on this disk', {
    remedy: 'backup-postgres makes one; every day: systemctl enable --now endoreg-backup.timer',
  }),
  'backup-old': warning('what was written since then is only on this disk', {
    remedy: 'see why there is no newer one: journalctl -u endoreg-backup; then: backup-postgres',
  }),
  'backup-unusable': warning('nothing can be restored from it', {
    remedy: 'look at the health of the disk, make a new one (backup-postgres), then remove it by hand',
  }),

  'settings-invalid': warning('PostgreSQL loads nothing of the file, and does not start again with it', {
    remedy: 'correct the line, then: systemctl reload postgresql',
  }),
  'settings-not-loaded': warning(
    'PostgreSQL works with other settings than the file says, until its next start',
    RELOAD,
  ),
  'restart-pending': notice('PostgreSQL works with the value from before', {
    remedy: 'systemctl restart postgresql, at a time when the API may be interrupted',
  }),
  'collation-version': warning(
    'indexes on text may miss rows; and no database can be made from template1 while it differs',
    {
      remedy: database =>
        `in ${database}: REINDEX DATABASE; ALTER DATABASE ${identifier(database)} REFRESH COLLATION VERSION`,
    },
  ),
  'checksums-off': notice('PostgreSQL does not notice when the disk changes data', {
    remedy: 'while it is stopped: pg_checksums --enable -D DATA',
  }),
  'clock-off': warning('passwords and certificates expire at the wrong time, and logs cannot be compared', {
    remedy: 'set it (timedatectl set-ntp true), and look at the battery of the clock',
  }),
  'clock-unsynchronised': notice('it will be off some day', { remedy: 'timedatectl set-ntp true' }),

  'server-unsupported': notice('it may work as it should, and nobody has tried', { remedy: UPGRADE }),
  'server-end-of-life': warning('known security holes stay open', { remedy: UPGRADE }),
  'tool-missing': warning('backup-postgres can make no backup'),
  'tool-version': notice('a dump by a newer program need not load into this server'),
} satisfies Readonly<Record<string, Meaning>>

export type FindingId = keyof typeof FINDINGS
