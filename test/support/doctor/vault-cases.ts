import { known } from '../../../lib/doctor/facts/fact.ts'
import type { Case } from './cases.ts'
import {
  accounts,
  BROKEN,
  checkout,
  closedAt,
  cluster,
  DENIED,
  GID,
  notUp,
  password,
  refusedOnce,
  rules,
  settings,
  stat,
  traversals,
  UID,
  units,
  up,
  VAULT,
  VAULT_FOLDER,
  vault,
  vaultFile,
} from './facts.ts'

const { serviceUser, serviceGroup, vaultGroup } = settings
const STANDBY = { server: up({}, { cluster: known(cluster({ inRecovery: true })) }) } as const
const nixos = { nixos: true } as const

/** Accounts and groups. */
export const ACCOUNTS: readonly Case[] = [
  {
    name: 'no service account, and of what it cannot read nothing is said',
    told: {
      ...accounts({ service: undefined, member: false }),
      vaultForService: BROKEN,
      checkout: known(undefined),
    },
    finds: [`error account-missing (${serviceUser}) accounts`],
    says: /remedy: useradd --system endoreg-service-user/,
  },
  {
    name: 'no group of the service account',
    told: { ...accounts({ serviceGroup: undefined }), ...checkout({ state: 'missing' }) },
    finds: [`error group-missing (${serviceGroup}) accounts`],
    says: /API's files belong to it.*groupadd --system endoreg-service/s,
  },
  {
    name: 'no account that the vault belongs to',
    told: { ...accounts({ vaultOwner: undefined }), vault: vault(vaultFile(0, 0)) },
    finds: ['error account-missing (admin) accounts'],
    says: /the vault belongs to it/,
  },
  {
    name: 'no group that the vault belongs to, so nobody is a member',
    told: { ...accounts({ vaultGroup: undefined, member: false }), vaultForService: BROKEN },
    finds: [`error group-missing (${vaultGroup}) accounts`],
    says: /the vault belongs to it.*groupadd --system sensitiveServices/s,
  },
  {
    name: 'accounts that are missing on NixOS are a matter of options',
    told: { ...nixos, ...accounts({ service: undefined, vaultGroup: undefined, member: false }) },
    finds: [`error account-missing (${serviceUser})`, `error group-missing (${vaultGroup})`],
    says: /set the option users\.users\.endoreg-service-user\n[\s\S]*set the option users\.groups\.sensitiveServices/,
  },
  {
    name: "no account of PostgreSQL's",
    told: accounts({ postgres: undefined }),
    finds: ['error account-missing (postgres)'],
    says: /install PostgreSQL, or set ENDOREG_PG_OS_USER/,
  },
  {
    name: "no account of PostgreSQL's, where none is needed to connect",
    told: { ...accounts({ postgres: undefined }), settings: { ...settings, host: 'db.example' } },
    finds: [],
  },
  {
    name: 'no membership, which is why the vault cannot be read',
    told: { ...accounts({ member: false }), vaultForService: BROKEN },
    finds: [`error membership-missing (${serviceUser}) accounts`],
    says: /usermod --append --groups sensitiveServices endoreg-service-user/,
  },
  {
    name: 'no membership, on NixOS',
    told: { ...nixos, ...accounts({ member: false }) },
    finds: [`error membership-missing (${serviceUser})`],
    says: /users\.users\.endoreg-service-user\.extraGroups = \[ "sensitiveServices" \]/,
  },
  {
    name: 'accounts that cannot be looked at',
    told: { accounts: BROKEN },
    finds: [],
    unseen: ['accounts and groups: the device reports an input/output error'],
  },
]

/** The vault file, and the way to it. */
export const VAULTS: readonly Case[] = [
  {
    name: 'a vault that gives no password, and nothing is said of its owner',
    told: { vault: BROKEN, vaultForService: BROKEN },
    finds: [`error vault-unusable (${VAULT})`],
    says: /it gives no password, because the device reports.*remedy: Look at the disk\./s,
  },
  {
    name: 'a vault that gives no password, and nobody knows what to do',
    told: { vault: { ...BROKEN, hint: '' } },
    finds: [`error vault-unusable (${VAULT})`],
    says: /remedy: look at it: namei -l \/etc\/secrets\/vault\/SCRT/,
  },
  {
    name: 'a vault that root itself may not look at',
    told: { vault: DENIED },
    finds: [`error vault-unusable (${VAULT})`],
  },
  {
    name: 'a vault that is not for this account to look at',
    told: { vault: DENIED, root: false },
    finds: [],
    unseen: [`the vault file ${VAULT}: permission denied`],
  },
  {
    name: 'no vault file, so nobody can read it either',
    told: { vault: vault({ state: 'missing' }), vaultForService: BROKEN, vaultTarget: undefined },
    finds: [`error vault-missing (${VAULT}) setup`],
    says: /remedy: postgres-endoreg-setup generates a new one; to keep the old one, copy it there first/,
  },
  {
    name: 'no vault file where the settings say, and the one that was used is elsewhere',
    told: {
      vault: vault({ state: 'missing' }),
      vaultInUse: '/etc/secrets/before',
      vaultForService: BROKEN,
      vaultTarget: undefined,
    },
    finds: [`error vault-elsewhere (${VAULT})`],
    says: /nothing, and the password of .* is in \/etc\/secrets\/before.*remedy: Correct ENDOREG_VAULT_FILE.* mv \/etc\/secrets\/before \/etc/s,
  },
  {
    name: 'no vault file, and no other place with the password',
    told: {
      vault: vault({ state: 'missing' }),
      agreement: { copyIsVault: undefined, vaultIsVerifier: undefined, copyIsVerifier: 'other password' },
    },
    finds: [`error vault-missing (${VAULT}) setup`],
    says: /remedy: postgres-endoreg-setup generates a new one \(fix/,
  },
  {
    name: 'no vault file on a standby, whose password is that of its primary',
    told: { ...STANDBY, vault: vault({ state: 'missing' }), vaultForService: BROKEN, vaultTarget: undefined },
    finds: [`error vault-missing (${VAULT})`, 'notice server-standby (PostgreSQL)'],
    says: /copy the vault file of the primary to \S+ \(\S+db_pwd holds the same password\), then: postgres-endoreg-setup$/m,
  },
  {
    name: 'no vault file on a standby that is down',
    told: {
      ...notUp('absent', undefined, 'there is no socket'),
      attempts: [],
      standbyDown: true,
      vault: vault({ state: 'missing' }),
      vaultForService: BROKEN,
    },
    finds: [`error vault-missing (${VAULT})`, 'error server-down (port 5432) start'],
    says: /copy the vault file of the primary/,
  },
  {
    name: 'no vault file on a standby, where the setup fails without it and can mend nothing else',
    told: {
      ...STANDBY,
      vault: vault({ state: 'missing' }),
      vaultForService: BROKEN,
      rules: rules('host all all 127.0.0.1/32 scram-sha-256\n'),
      ...refusedOnce('no rule', 'no pg_hba.conf entry for host "::1"'),
    },
    finds: [
      `error vault-missing (${VAULT})`,
      'error hba-no-rule (::1)',
      'notice server-standby (PostgreSQL)',
    ],
  },
  {
    name: 'a vault file of a standby that everybody can read: a new password comes from the primary',
    told: {
      ...STANDBY,
      vault: vault(vaultFile(UID.admin, GID.vault, 0o100644)),
      vaultTarget: { path: VAULT, mode: 0o100644 },
    },
    finds: [`warning vault-exposed (${VAULT}) setup`, 'notice server-standby (PostgreSQL)'],
    says: /replace the password \(on the primary: sync-password --rotate; and copy the vault file of the primary/,
  },
  {
    name: "a standby's password in the Nix store",
    told: {
      ...STANDBY,
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/nix/store/0-secret', mode: 0o100444 },
    },
    finds: [`warning vault-in-store (${VAULT})`, 'notice server-standby (PostgreSQL)'],
    says: /then on the primary: sync-password --rotate; and copy/,
  },
  {
    name: 'no vault file, which another tool provides',
    told: {
      vault: vault({ state: 'missing' }),
      manifest: { roles: [], databases: [], hba: [], ident: [], passwordManagedBy: 'sops-nix' },
      server: { state: 'unasked', ...DENIED },
      root: false,
    },
    finds: [`error vault-missing (${VAULT})`],
    says: /remedy: let sops-nix put it there/,
    unseen: ['PostgreSQL: permission denied'],
  },
  {
    name: 'no vault file, which another tool provides as the settings say',
    told: {
      vault: vault({ state: 'missing' }),
      settings: { ...settings, vaultManagedBy: 'systemd-creds' },
      server: { state: 'unasked', ...DENIED },
      root: false,
    },
    finds: [`error vault-missing (${VAULT})`],
    says: /remedy: let systemd-creds put it there/,
    unseen: ['PostgreSQL: permission denied'],
  },
  {
    name: 'a password in the Nix store, which everybody can read there',
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/nix/store/0-secret', mode: 0o100444 },
    },
    finds: [`warning vault-in-store (${VAULT})`],
    says: /sops-nix, agenix.*sync-password --rotate/,
  },
  {
    name: 'a file that everybody can read, and nothing more of its mode',
    told: {
      vault: vault(vaultFile(UID.admin, GID.vault, 0o100644)),
      vaultTarget: { path: VAULT, mode: 0o100644 },
    },
    finds: [`warning vault-exposed (${VAULT}) setup`],
    says: /chmod 0640 .*, then replace the password \(sync-password --rotate\)/,
  },
  {
    name: "another tool's file that everybody can read",
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/run/secrets/x', mode: 0o100444 },
    },
    finds: [`warning vault-exposed (${VAULT})`],
    says: /let the tool that makes it give it a stricter mode/,
  },
  {
    name: "another tool's file, of which owner and mode are its own business",
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/run/secrets/x', mode: 0o100400 },
    },
    finds: [],
  },
  ...(
    [
      ['owner', vaultFile(0)],
      ['group', vaultFile(UID.admin, 0)],
      ['mode', vaultFile(UID.admin, GID.vault, 0o100600)],
      ['set-uid bit', vaultFile(UID.admin, GID.vault, 0o104640)],
    ] as const
  ).map(([what, file]) => ({
    name: `a vault file with another ${what}, which may be why it cannot be read`,
    told: { vault: vault(file), vaultForService: BROKEN },
    finds: [`error vault-ownership (${VAULT}) setup`],
    says: /it is .*, not admin:sensitiveServices 0640.*chown admin:sensitiveServices .* && chmod 0640/s,
  })),
  ...(
    [
      ['warning', 0o40700],
      ['warning', 0o40755],
      ['error', 0o40752],
    ] as const
  ).map(([severity, mode]) => ({
    name: `a folder of the vault with the mode ${mode.toString(8)}`,
    told: { vault: vault(vaultFile(), stat(UID.admin, GID.vault, mode)), vaultForService: BROKEN },
    finds: [`${severity} vault-folder (${VAULT_FOLDER}) setup`],
    says: /chown admin:sensitiveServices \/etc\/secrets\/vault && chmod 0750/,
  })),
  ...(
    [
      ['/etc', 0o40755],
      ['/tmp', 0o41777],
    ] as const
  ).map(([path, mode]) => ({
    name: `a vault file in ${path}, which the setup does not take over`,
    told: {
      settings: { ...settings, vaultFile: `${path}/db_pwd` },
      vault: known({
        path: `${path}/db_pwd`,
        folder: { path, stat: stat(0, 0, mode) },
        file: vaultFile(0, 0),
        litter: [],
      }),
      ...units({
        'postgres-endoreg-setup.service': { active: 'failed', result: 'exit-code', status: 78 },
        'endo-api-boot.service': { active: 'inactive', dropped: true },
      }),
    },
    finds: [`error vault-folder (${path})`, `error vault-ownership (${path}/db_pwd)`],
    says: /the whole system uses this folder[\s\S]*ends with that[\s\S]*remedy: Give the vault file a folder of its own: set ENDOREG_VAULT_FILE(?![\s\S]*remedy: chown)/,
  })),
  {
    name: 'a vault file with a second name, whose owner the setup does not change',
    told: { vault: vault({ state: 'file', password, stat: { ...stat(0, 0, 0o100600), nlink: 2 } }) },
    finds: [`error vault-ownership (${VAULT})`],
    says: /it has 2 names \(hard links\)[\s\S]*remedy: Find them \(find \/ -xdev -inum 1\)/,
  },
  {
    name: 'a vault file with a second name that everybody can read',
    told: {
      vault: vault({ state: 'file', password, stat: { ...stat(UID.admin, GID.vault, 0o100644), nlink: 2 } }),
      vaultTarget: { path: VAULT, mode: 0o100644 },
    },
    finds: [`error vault-exposed (${VAULT})`],
    says: /every account may read it; it has 2 names[\s\S]*remedy: Find them .*, then replace the password \(sync-password --rotate\)/,
  },
  {
    name: 'a vault file with a second name that is as it should be',
    told: {
      vault: vault({ state: 'file', password, stat: { ...stat(UID.admin, GID.vault, 0o100640), nlink: 2 } }),
    },
    finds: [],
  },
  {
    name: 'a folder above the vault that is closed',
    told: {
      vaultForService: BROKEN,
      pathToVault: traversals(VAULT_FOLDER, closedAt('/etc/secrets'), {
        '/etc/secrets': stat(0, 0, 0o40700),
      }),
    },
    finds: ['error folder-closed (/etc/secrets) folders'],
    says: /may not enter it, on the way to .*chown root:sensitiveServices \/etc\/secrets && chmod 0710/s,
  },
  {
    name: 'a folder above the vault that is closed, and not for root to open',
    told: {
      vaultForService: BROKEN,
      pathToVault: traversals(VAULT_FOLDER, closedAt('/etc/secrets'), {
        '/etc/secrets': stat(7, 0, 0o40700),
      }),
    },
    finds: ['error folder-closed (/etc/secrets)'],
    says: /let that account enter it: namei -l/,
  },
  ...['/home/admin', '/root', '/run/user/1000'].map(home => ({
    name: `a vault that a link leads to ${home}, where the units do not look: the one that has failed follows from it`,
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: `${home}/secrets/x`, mode: 0o100640 },
      // Where root's home is closed to the service account as well.
      ...(home === '/root'
        ? { vaultForService: BROKEN, pathToVault: traversals(VAULT_FOLDER, closedAt('/root')) }
        : {}),
      ...units({ 'postgres-endoreg-setup.service': { active: 'failed' } }),
    },
    finds: [`error vault-hidden (${VAULT})`],
    says: /it is at \/\S+\/secrets\/x, which is below \/\S+, and of that postgres-endoreg-setup\.service and endo-api-boot\.service may see nothing.*so it follows: unit-failed/s,
  })),
  {
    name: 'a vault in a home that the units see, by a drop-in',
    told: {
      vaultTarget: { path: '/home/admin/secrets/x', mode: 0o100640 },
      ...units({
        'postgres-endoreg-setup.service': { homeless: false },
        'endo-api-boot.service': { homeless: false },
      }),
    },
    finds: [],
  },
  {
    name: 'a vault that a link leads to another folder of root',
    told: { vaultTarget: { path: '/srv/home/x', mode: 0o100640 } },
    finds: [],
  },
  {
    name: "the vault's own folder is not one on the way",
    told: { vaultForService: BROKEN, pathToVault: traversals(VAULT_FOLDER, closedAt(VAULT_FOLDER)) },
    finds: [`error vault-unreadable (${VAULT})`],
  },
  {
    name: 'everything is right, and it cannot be read all the same',
    told: { vaultForService: BROKEN },
    finds: [`error vault-unreadable (${VAULT})`],
    says: /cannot read it: the device reports.*namei -l .*; getfacl /s,
  },
  {
    name: "a managed secret that is root's alone, and that systemd passes to the unit",
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/run/secrets.d/1/db_pwd', mode: 0o100400 },
      vaultForService: BROKEN,
      vaultCredential: true,
      pathToVault: traversals(VAULT_FOLDER, closedAt('/etc/secrets')),
    },
    finds: [],
  },
  {
    name: "a managed secret that is root's alone, and that nobody passes to the unit",
    told: {
      vault: vault({ state: 'link', password }),
      vaultTarget: { path: '/run/secrets.d/1/db_pwd', mode: 0o100400 },
      vaultForService: BROKEN,
    },
    finds: [`error vault-unreadable (${VAULT})`],
  },
  {
    name: 'whether it can be read is not for this account to know',
    told: { vaultForService: DENIED, root: false, pathToVault: traversals(VAULT_FOLDER, DENIED) },
    finds: [],
    unseen: [`whether ${serviceUser} can read the vault file: permission denied`],
  },
]
