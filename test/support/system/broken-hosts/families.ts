import type { Release } from '../base.ts'
import { CHECKOUT, VAULT } from '../clinic.ts'
import {
  API,
  again,
  BAD_VAULT,
  BOOT,
  GOOD_VAULT,
  places,
  RELOAD,
  type Row,
  restartServer,
  SETUP,
  sql,
  stopServer,
} from './row.ts'

const withoutGroup = (name: string): string => `sed -i '/^${name}:/d' /etc/group /etc/gshadow`
const COPY = `${CHECKOUT}/conf/db_pwd`
const setPassword = (text: string): string => sql(`ALTER ROLE "endoregDbLocal" PASSWORD $p$${text}$p$`)

/** The real hosts of the seven families that have to be diagnosed by name. */
export function familyRows(release: Release): readonly Row[] {
  const here = places(release)
  const { configuration, cluster, data, hba } = here
  return [
    // 1: rules
    {
      name: 'no rule for ::1',
      breaks: `sed -i '/::1/d' ${hba}\n${RELOAD}`,
      finds: ['hba-no-rule ::1'],
      fix: 'setup',
      leaves: [],
      says: /::1/,
    },
    {
      name: 'an earlier rule rejects what comes from ::1',
      breaks: `sed -i '1i host all all ::1/128 reject' ${hba}\n${RELOAD}`,
      finds: ['hba-rejected ::1'],
      fix: 'setup',
      leaves: [],
      says: /pg_hba\.conf:1\b/,
    },
    {
      name: 'an earlier rule rejects all, at both addresses',
      breaks: `sed -i '1i host all all all reject' ${hba}\n${RELOAD}`,
      finds: ['hba-rejected ::1, 127.0.0.1'],
      fix: 'setup',
      leaves: [],
      says: /pg_hba\.conf:1\b/,
    },
    {
      name: 'an earlier rule asks for something else than the password',
      breaks: `sed -i '1i host all endoregDbLocal 127.0.0.1/32 password' ${hba}\n${RELOAD}`,
      finds: ['hba-method 127.0.0.1'],
      fix: 'setup',
      leaves: [],
    },
    // 2: passwords
    {
      name: 'the vault has another password than PostgreSQL and the copy',
      breaks: `openssl rand -base64 32 >${VAULT}`,
      finds: ['password-vault'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'PostgreSQL has another password than vault and copy',
      breaks: setPassword('another'),
      finds: ['password-postgres'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the copy has another password than vault and PostgreSQL',
      breaks: `openssl rand -base64 32 >${COPY}`,
      finds: ['password-copy'],
      fix: 'install',
      leaves: [],
    },
    {
      name: 'three different passwords',
      breaks: `openssl rand -base64 32 >${VAULT}\nopenssl rand -base64 32 >${COPY}`,
      finds: ['password-all'],
      fix: 'setup',
      leaves: [],
    },
    // 3: addresses
    {
      name: 'localhost is ::1 first, and PostgreSQL listens at IPv4 only',
      breaks: `echo "listen_addresses = '127.0.0.1'" >>${configuration}/postgresql.conf\n${restartServer(here)}`,
      finds: ['address-not-served ::1'],
      fix: 'listen',
      leaves: [],
    },
    {
      name: 'PostgreSQL listens at IPv6 only',
      breaks: `${sql('ALTER SYSTEM SET listen_addresses = $a$::1$a$')}\n${restartServer(here)}`,
      finds: ['address-not-served 127.0.0.1'],
      fix: 'listen',
      leaves: [],
    },
    {
      name: 'PostgreSQL listens nowhere',
      breaks: `${sql('ALTER SYSTEM SET listen_addresses = $a$$a$')}\n${restartServer(here)}`,
      finds: ['address-not-served ::1, 127.0.0.1'],
      fix: 'listen',
      leaves: [],
    },
    {
      name: '/etc/hosts without ::1',
      breaks: `sed -i '/^::1/d' /etc/hosts\n${restartServer(here)}`,
      finds: ['hosts-loopback ::1'],
      fix: 'hosts',
      leaves: [],
    },
    // 4: accounts
    {
      name: 'the membership is missing',
      breaks: `sed -i '/^sensitiveServices:/s/:[^:]*$/:/' /etc/group /etc/gshadow`,
      finds: ['membership-missing'],
      fix: 'accounts',
      leaves: [],
    },
    {
      name: 'the membership is missing, and the boot has failed for it',
      units: true,
      breaks: `sed -i '/^sensitiveServices:/s/:[^:]*$/:/' /etc/group /etc/gshadow\n${again(BOOT)}`,
      finds: ['membership-missing'],
      fix: 'accounts',
      leaves: [],
    },
    {
      name: 'the group of the service is missing',
      breaks: withoutGroup('endoreg-service'),
      finds: ['group-missing endoreg-service'],
      fix: 'accounts',
      leaves: [],
    },
    {
      name: 'the group of the vault is missing',
      breaks: withoutGroup('sensitiveServices'),
      finds: ['group-missing sensitiveServices'],
      fix: 'accounts',
      leaves: [],
    },
    {
      name: 'the account of the service is missing',
      breaks: `sed -i '/^endoreg-service-user:/d' /etc/passwd /etc/shadow`,
      finds: ['account-missing endoreg-service-user'],
      fix: 'accounts',
      leaves: [],
    },
    // 5: files and folders
    {
      name: "the vault file is root's alone",
      breaks: `chown root:root ${VAULT}; chmod 600 ${VAULT}`,
      finds: [`vault-ownership ${VAULT}`],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'everybody can read the vault file',
      breaks: `chmod 644 ${VAULT}`,
      finds: [`vault-exposed ${VAULT}`],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the folder of the vault is for its owner only',
      breaks: 'chmod 700 /etc/secrets/vault',
      finds: ['vault-folder /etc/secrets/vault'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'a folder above the vault keeps the service account out, and the boot has failed for it',
      units: true,
      breaks: `chmod 700 /etc/secrets\n${again(BOOT)}`,
      finds: ['folder-closed /etc/secrets'],
      fix: 'folders',
      leaves: [],
      restores: 'chmod 755 /etc/secrets',
    },
    {
      name: 'the vault file is gone, after the boot of a host that had it',
      breaks: `rm ${VAULT}`,
      finds: ['vault-missing'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: "the home of the service is root's, and closed",
      breaks: 'chown root:root /var/endoreg-service-user; chmod 700 /var/endoreg-service-user',
      finds: ['folder-closed /var/endoreg-service-user'],
      fix: 'folders',
      leaves: [],
    },
    // 6: PostgreSQL and the units
    {
      name: 'PostgreSQL was stopped',
      units: true,
      breaks: stopServer(here),
      finds: ['server-down'],
      fix: 'start',
      leaves: [],
    },
    {
      name: 'the cluster was stopped, and the unit above it thinks that all is well',
      units: true,
      breaks: `systemctl stop ${cluster}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: [],
    },
    {
      name: 'PostgreSQL is in recovery, and lets nobody in',
      units: true,
      breaks: `${stopServer(here)}
touch ${data}/recovery.signal && chown postgres: ${data}/recovery.signal
printf "restore_command = 'sleep 3600; false'\\nhot_standby = off\\n" >${configuration}/conf.d/recovery.conf
systemctl reset-failed; systemctl start --no-block ${cluster}
until sudo -u postgres psql -c "" 2>&1 | grep -q "starting up\\|not yet accepting\\|not accepting"; do sleep 0.05; done`,
      finds: ['server-not-ready'],
      leaves: ['server-not-ready'],
      restores: `rm ${configuration}/conf.d/recovery.conf; systemctl stop ${cluster}; rm -f ${data}/recovery.signal; ${restartServer(here)}`,
    },
    {
      name: 'the setup failed, because of the vault',
      units: true,
      breaks: `${BAD_VAULT}\n${again(SETUP)}`,
      finds: ['vault-unusable'],
      leaves: ['vault-unusable'],
      says: /control character/,
      restores: GOOD_VAULT,
    },
    {
      name: 'the setup failed, its cause is gone, and the unit of the API was never started',
      units: true,
      breaks: `${BAD_VAULT}\n${again(SETUP)}\n${GOOD_VAULT}`,
      finds: [`unit-failed ${SETUP}`],
      fix: 'units',
      leaves: [],
      says: /last error: cannot read the password in .*control character/,
    },
    // 7: role and database
    {
      name: "the application's database is missing",
      breaks: sql('DROP DATABASE "endoregDbLocal" WITH (FORCE)'),
      finds: ['database-missing'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: "the application's database is missing, and the API ends at every start for it",
      units: true,
      breaks: `${sql('DROP DATABASE "endoregDbLocal" WITH (FORCE)')}; systemctl restart ${API}
until [ "$(systemctl show -P NRestarts ${API})" -gt 0 ]; do sleep 0.1; done`,
      finds: ['database-missing'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: "the application's role is missing, with its database",
      breaks: `${sql('DROP DATABASE "endoregDbLocal" WITH (FORCE)')}; ${sql('DROP ROLE "endoregDbLocal"')}`,
      finds: ['role-missing'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the database belongs to another role',
      breaks: sql('ALTER DATABASE "endoregDbLocal" OWNER TO "prodUser"'),
      finds: ['database-owner'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the role was given another name, and what it owns with it',
      breaks: sql('ALTER ROLE "endoregDbLocal" RENAME TO "before"'),
      finds: ['role-missing'],
      fix: 'setup',
      leaves: ['objects-foreign before'],
      restores: `${sql('REASSIGN OWNED BY "before" TO "endoregDbLocal"; DROP OWNED BY "before"', 'endoregDbLocal')}; ${sql('DROP ROLE "before"')}; ${again(API)}`,
    },
    {
      name: 'the role may not log in',
      breaks: sql('ALTER ROLE "endoregDbLocal" NOLOGIN'),
      finds: ['role-no-login'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the role has no password',
      breaks: sql('ALTER ROLE "endoregDbLocal" PASSWORD NULL'),
      finds: ['role-no-password'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the role has an md5 password',
      breaks: sql(
        `SET password_encryption = md5; ALTER ROLE "endoregDbLocal" PASSWORD $p$'"$(cat ${VAULT})"'$p$`,
      ),
      finds: ['role-md5'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'the password of the role has expired',
      breaks: sql('ALTER ROLE "endoregDbLocal" VALID UNTIL $t$2020-01-01$t$'),
      finds: ['role-expired'],
      fix: 'setup',
      leaves: [],
    },
  ]
}
