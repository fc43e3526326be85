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
  SETTINGS,
  SETUP,
  sql,
  stopServer,
} from './row.ts'

/** The setup waits a second for PostgreSQL, and gives it up. */
const IMPATIENT = `echo ENDOREG_READY_TIMEOUT=1 >>${SETTINGS}`
const PATIENT = `sed -i /ENDOREG_READY_TIMEOUT/d ${SETTINGS}`
const IPV6 = '/proc/sys/net/ipv6/conf'

/** Hosts on which units, systemd or Debian's layout decide what is seen, and what helps. */
export function unitRows(release: Release): readonly Row[] {
  const here = places(release)
  const { configuration, cluster, data, hba } = here
  /** The server does not start with that; what systemd says of it has been said. */
  const fails = `${stopServer(here)}; systemctl start postgresql.service; systemctl start ${cluster}`
  return [
    // PostgreSQL's units
    {
      name: 'postgresql.service is masked',
      breaks: `${stopServer(here)}\nsystemctl mask postgresql.service`,
      finds: ['unit-masked postgresql.service'],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'postgresql.service is masked, and the setup has given up',
      breaks: `${IMPATIENT}\n${stopServer(here)}\nsystemctl mask postgresql.service\nsystemctl restart --no-block ${SETUP}
until journalctl -q -u ${SETUP} -b | tail -n 5 | grep -q 'not ready\\|Failed with'; do sleep 0.1; done`,
      finds: ['unit-masked postgresql.service'],
      fix: 'units',
      leaves: [],
      restores: PATIENT,
    },
    {
      name: 'PostgreSQL was stopped, and the API with all before it',
      breaks: `systemctl stop ${API} ${BOOT} ${SETUP}; ${stopServer(here)}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: [],
    },
    {
      name: 'a mistake in conf.d, and Debian says active (exited)',
      breaks: `echo 'shared_buffers = a lot' >${configuration}/conf.d/site.conf\n${fails}`,
      finds: ['server-down'],
      leaves: ['server-down'],
      says: /conf\.d\/site\.conf.*line 1|conf\.d\/site\.conf:1/s,
      restores: `rm ${configuration}/conf.d/site.conf\n${restartServer(here)}`,
    },
    {
      name: 'others may enter the data folder',
      breaks: `chmod 755 ${data}\n${fails}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: ['server-down'],
      says: /invalid permissions/,
      restores: `chmod 700 ${data}\n${restartServer(here)}`,
    },
    {
      name: 'everybody can read the TLS key',
      breaks: `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout ${configuration}/own.key -out ${configuration}/own.pem 2>/dev/null
chown postgres: ${configuration}/own.*; chmod 644 ${configuration}/own.key
printf "ssl_key_file = '${configuration}/own.key'\\nssl_cert_file = '${configuration}/own.pem'\\n" >${configuration}/conf.d/tls.conf
${fails}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: ['server-down'],
      says: /private key file .*own\.key.* has group or world access/,
      restores: `rm ${configuration}/conf.d/tls.conf\n${restartServer(here)}`,
    },
    {
      name: 'a library that is not installed',
      breaks: `echo "shared_preload_libraries = 'timescaledb'" >${configuration}/conf.d/library.conf\n${fails}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: ['server-down'],
      says: /could not access file .*timescaledb/,
      restores: `rm ${configuration}/conf.d/library.conf\n${restartServer(here)}`,
    },
    {
      name: 'the configuration was moved away',
      breaks: `${stopServer(here)}; mv ${configuration}/postgresql.conf /root/; systemctl start postgresql.service; systemctl start ${cluster}`,
      finds: ['server-down'],
      leaves: ['server-down'],
      says: /postgresql\.conf/,
      restores: `mv /root/postgresql.conf ${configuration}/\n${restartServer(here)}`,
    },
    {
      name: 'an access rule with a mistake keeps PostgreSQL from its start',
      breaks: `sed -i '1i host all all 127.0.0.1/99 scram-sha-256' ${hba}\n${fails}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: ['server-down'],
      says: /pg_hba\.conf/,
      restores: `sed -i 1d ${hba}\n${restartServer(here)}`,
    },
    {
      name: 'the disk of the data can only be read',
      breaks: `${stopServer(here)}; mount --bind ${data} ${data} && mount -o remount,bind,ro ${data}\n${fails}`,
      finds: ['server-down'],
      fix: 'start',
      leaves: ['server-down'],
      says: /Read-only file system/,
      restores: `umount ${data}\n${restartServer(here)}`,
    },
    {
      name: 'the disk of the data is nearly full',
      breaks: `${stopServer(here)}; cp -a ${data} /srv/data && mount -t tmpfs -o size=200m tmpfs ${data} && cp -a /srv/data/. ${data} && rm -r /srv/data
systemctl reset-failed ${cluster}; systemctl start postgresql.service ${cluster}
head -c "$(($(stat -f --format='%a*%S' ${data}) - 4000000))" /dev/zero >${data}/filled`,
      finds: [`disk-full ${data}`],
      leaves: [`disk-full ${data}`],
      restores: `${stopServer(here)}; umount ${data}; ${restartServer(here)}`,
    },
    // addresses and files, with a unit that has failed for them
    {
      name: 'IPv6 is off, and the setup has failed for it',
      breaks: `echo 1 >${IPV6}/all/disable_ipv6; echo 1 >${IPV6}/lo/disable_ipv6\n${restartServer(here)}\n${again(SETUP)}`,
      finds: ['ipv6-off'],
      leaves: ['ipv6-off'],
      restores: `echo 0 >${IPV6}/all/disable_ipv6; echo 0 >${IPV6}/lo/disable_ipv6\n${restartServer(here)}`,
    },
    {
      name: '/etc/secrets is a link to another folder, which is as good',
      breaks: `mv /etc/secrets /srv/secrets && ln -s /srv/secrets /etc/secrets\n${again(SETUP)}; systemctl start ${BOOT} ${API}`,
      finds: [],
      leaves: [],
      says: /no errors, no warnings/,
      restores: 'rm /etc/secrets && mv /srv/secrets /etc/secrets',
    },
    {
      name: '/etc/secrets is a link into a home, which the units do not see, and the setup has failed for it',
      breaks: `mv /etc/secrets /root/secrets && ln -s /root/secrets /etc/secrets\n${again(SETUP)}`,
      finds: [`vault-hidden ${VAULT}`],
      leaves: [`vault-hidden ${VAULT}`],
      says: /it is at \/root\/secrets\/\S+, which is below \/root, .*ProtectHome=/,
      restores: 'rm /etc/secrets && mv /root/secrets /etc/secrets',
    },
    {
      name: 'there is no checkout, and the boot has failed for it',
      breaks: `mv ${CHECKOUT} /srv/kept\n${again(BOOT)}`,
      finds: ['checkout-missing'],
      leaves: ['checkout-missing'],
      restores: `mv /srv/kept ${CHECKOUT}`,
    },
    {
      name: 'db.yaml is no YAML, and the boot has failed for it',
      breaks: `printf 'a: [b\\n' >${CHECKOUT}/conf/db.yaml\n${again(BOOT)}`,
      finds: ['settings-unusable'],
      leaves: ['settings-unusable'],
      restores: `rm ${CHECKOUT}/conf/db.yaml`,
    },
    {
      name: 'the name of the database server leads nowhere, and the setup has failed for it',
      breaks: `cp ${SETTINGS} /root/env; echo 'ENDOREG_DB_HOST=nowhere.invalid' >>${SETTINGS}\n${again(SETUP)}`,
      finds: ['name-unresolved'],
      leaves: ['name-unresolved'],
      restores: `cat /root/env >${SETTINGS}`,
    },
    // systemd's own
    {
      name: 'the boot was dropped with the setup, and nobody has started it since',
      breaks: [
        `mkdir -p /run/systemd/system/${SETUP}.d`,
        // The setup starts what requires it, which a host with other units does not.
        `printf '[Service]\\nExecStartPost=\\n' >/run/systemd/system/${SETUP}.d/test.conf`,
        `systemctl daemon-reload; systemctl stop ${SETUP}`,
        `${BAD_VAULT}; systemctl start ${SETUP}; systemctl start ${BOOT}; ${GOOD_VAULT}; systemctl start ${SETUP}`,
        `rm -r /run/systemd/system/${SETUP}.d; systemctl daemon-reload`,
      ].join('\n'),
      finds: [`unit-dropped ${BOOT}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'the API was stopped',
      breaks: `systemctl stop ${API}`,
      finds: [`unit-inactive ${API}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'the API ends as soon as it is started',
      breaks: `cp -p ${CHECKOUT}/api.py /root/api.py; printf 'raise SystemExit("no module named endoreg")\\n' >${CHECKOUT}/api.py; systemctl restart ${API}
until [ "$(systemctl show -P NRestarts ${API})" -gt 0 ] || journalctl -q -b -u ${API} | grep -q 'no module named endoreg'; do sleep 0.1; done`,
      finds: [`unit-restarted ${API}`],
      leaves: [`unit-restarted ${API}`],
      says: /no module named endoreg/,
      restores: `cat /root/api.py >${CHECKOUT}/api.py; ${again(API)}`,
    },
    {
      name: 'the API was killed, which is not what it said last',
      breaks: `curl --silent http://127.0.0.1:8000/; systemctl kill --signal=KILL ${API}
until [ "$(systemctl show -P NRestarts ${API})" -gt 0 ] && systemctl is-active ${API}; do sleep 0.1; done`,
      finds: [`unit-restarted ${API}`],
      leaves: [`unit-restarted ${API}`],
      says: /it ended by itself 1 time, .*; systemd says: .*code=killed, status=9\/KILL/,
      restores: `systemctl reset-failed ${API}`,
    },
    {
      name: 'the API ends at every start, as its role may not log in',
      breaks: `${sql('ALTER ROLE "endoregDbLocal" NOLOGIN')}; systemctl restart ${API}
until [ "$(systemctl show -P SubState ${API})" = auto-restart ]; do sleep 0.1; done`,
      finds: ['role-no-login'],
      fix: 'setup',
      leaves: [],
    },
    {
      name: 'pg_dump is gone, and the backup has failed for it',
      breaks: `mv /usr/lib/postgresql/*/bin/pg_dump /root/; systemctl start endoreg-backup.service`,
      finds: ['tool-missing pg_dump'],
      leaves: ['tool-missing pg_dump'],
      says: /neither in .* nor on the PATH/,
      restores: `mv /root/pg_dump ${data.replace('/var/lib', '/usr/lib').replace('/main', '/bin')}/; systemctl reset-failed endoreg-backup.service`,
    },
    {
      name: 'the backup has failed',
      breaks: `mkdir -p /run/systemd/system/endoreg-backup.service.d
printf '[Service]\\nEnvironment=PGPORT=1 ENDOREG_READY_TIMEOUT=1\\nRestart=no\\n' >/run/systemd/system/endoreg-backup.service.d/test.conf
systemctl daemon-reload; systemctl start endoreg-backup.service`,
      finds: ['backup-failed endoreg-backup.service'],
      leaves: ['backup-failed endoreg-backup.service'],
      says: /it has failed .* ago \(exit-code, 75\); its last error: cannot /,
      restores:
        'rm -r /run/systemd/system/endoreg-backup.service.d; systemctl daemon-reload; systemctl reset-failed endoreg-backup.service',
    },
    {
      name: 'the file of the setup is gone, and the boot cannot be started again',
      breaks: `mv /usr/lib/systemd/system/${SETUP} /root/; systemctl daemon-reload; systemctl stop ${SETUP} ${BOOT} ${API}; systemctl start ${API}`,
      finds: [`units-missing ${SETUP}`],
      leaves: [`units-missing ${SETUP}`],
      says: /and so the API is not/,
      restores: `mv /root/${SETUP} /usr/lib/systemd/system/; systemctl daemon-reload; systemctl start ${API}`,
    },
    {
      name: 'the file of a unit is gone, while the unit is still at work',
      breaks: `mv /usr/lib/systemd/system/${BOOT} /root/; systemctl daemon-reload`,
      finds: [`units-missing ${BOOT}`],
      leaves: [`units-missing ${BOOT}`],
      restores: `mv /root/${BOOT} /usr/lib/systemd/system/; systemctl daemon-reload`,
    },
    {
      name: 'the setup fails without a word, and what it said of another failure is of no concern',
      breaks: `${BAD_VAULT}; systemctl restart ${SETUP}; ${GOOD_VAULT}; ${again(SETUP)}
mkdir -p /run/systemd/system/${SETUP}.d; printf '[Service]\\nRestart=no\\nExecStartPre=/bin/false\\n' >/run/systemd/system/${SETUP}.d/test.conf
systemctl daemon-reload; ${again(SETUP)}`,
      finds: [`unit-failed ${SETUP}`, `unit-overridden ${SETUP}`],
      fix: 'units',
      leaves: [`unit-failed ${SETUP}`, `unit-overridden ${SETUP}`],
      says: /^(?!.*control character)it has failed/,
      restores: `rm -r /run/systemd/system/${SETUP}.d; systemctl daemon-reload`,
    },
    {
      name: 'units that are not enabled',
      breaks: `systemctl disable ${SETUP} ${BOOT}`,
      finds: [`unit-disabled ${SETUP}`, `unit-disabled ${BOOT}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'the unit of the API is masked',
      breaks: `systemctl stop ${API}; systemctl mask ${API}`,
      finds: [`unit-masked ${API}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'the setup is masked, and what needs it was stopped',
      breaks: `systemctl stop ${SETUP} ${BOOT} ${API}; systemctl mask ${SETUP}`,
      finds: [`unit-masked ${SETUP}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'a drop-in, which is advice',
      breaks: `mkdir -p /etc/systemd/system/${BOOT}.d; printf '[Service]\\nNice=1\\n' >/etc/systemd/system/${BOOT}.d/nice.conf; systemctl daemon-reload`,
      finds: [`unit-overridden ${BOOT}`],
      leaves: [`unit-overridden ${BOOT}`],
      restores: `rm -r /etc/systemd/system/${BOOT}.d; systemctl daemon-reload`,
    },
    {
      name: 'a unit whose file was changed',
      breaks: `sed -i 's/^Description=.*/Description=changed/' /usr/lib/systemd/system/${BOOT}`,
      finds: [`unit-not-loaded ${BOOT}`],
      fix: 'units',
      leaves: [],
    },
    {
      name: 'systemctl does not answer',
      breaks: `printf '#!/bin/sh\\nexec sleep 3600\\n' >/usr/local/bin/systemctl; chmod 755 /usr/local/bin/systemctl
mv /usr/bin/systemctl /usr/bin/systemctl.kept && cp /usr/local/bin/systemctl /usr/bin/systemctl && rm /usr/local/bin/systemctl`,
      finds: [],
      leaves: [],
      says: /not looked at: units: systemctl: it did not end within 30 s/,
      restores: 'mv /usr/bin/systemctl.kept /usr/bin/systemctl',
    },
    // others
    {
      name: 'local all postgres trust, as the old set-up had it',
      breaks: `sed -i '1i local   all   postgres   trust' ${hba}\n${RELOAD}`,
      finds: ['trust-superuser'],
      fix: 'trust-rule',
      leaves: [],
    },
    {
      name: 'the database takes no connections',
      breaks: sql('ALTER DATABASE "endoregDbLocal" ALLOW_CONNECTIONS false'),
      finds: ['database-closed'],
      leaves: ['database-closed'],
      restores: sql('ALTER DATABASE "endoregDbLocal" ALLOW_CONNECTIONS true'),
    },
    {
      name: 'settings that are not loaded',
      breaks: `echo 'log_connections = on' >${configuration}/conf.d/log.conf`,
      finds: ['settings-not-loaded'],
      fix: 'reload',
      leaves: [],
      restores: `rm ${configuration}/conf.d/log.conf\n${RELOAD}`,
    },
    {
      name: 'the vault file is a link that leads nowhere, and the boot has failed for it',
      breaks: `mv ${VAULT} /root/vault && ln -s /nowhere/password ${VAULT}\n${again(SETUP)}`,
      finds: ['vault-unusable'],
      leaves: ['vault-unusable'],
      restores: `rm ${VAULT} && mv /root/vault ${VAULT}`,
    },
  ]
}
