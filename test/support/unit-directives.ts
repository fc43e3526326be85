import type { Wanted } from './unit-file.ts'
import {
  CALLS_OF_ROOT,
  callsOfNobody,
  EVERY_SERVICE,
  EVERY_UNIT,
  MAINTENANCE,
  METRICS,
  NO_SECRETS,
  OTHER_HOSTS,
  PASSWORD,
  RUN_OF_THE_HOST,
  runOfItsOwn,
  SANDBOX,
} from './unit-sandbox.ts'

/** What OnFailure= starts, and the chain after a late success. */
const startEnabled = (unit: string): string =>
  `systemctl --quiet is-enabled ${unit} && systemctl --no-block start ${unit}`

/** Starts what passes metrics on, where there are any; the shell's own pattern needs no other program. */
const PASS_METRICS =
  `-+/bin/sh -c 'set -- /run/endo-api-boot/*; ` +
  `[ "$1" = "/run/endo-api-boot/*" ] || systemctl --no-block start endoreg-metrics.service; :'`

const timer = (schedule: string, why: string): readonly Wanted[] => [
  ...EVERY_UNIT,
  ['Timer.OnCalendar', schedule, why],
  ['Timer.Persistent', 'yes', 'a host that was off at the time makes it up'],
  ['Install.WantedBy', 'timers.target', 'it runs from the boot on, once it is enabled'],
]

/** Neither hosts of one fleet at once, nor one host at another time every day. */
const SPREAD: readonly Wanted[] = [
  ['Timer.RandomizedDelaySec', '30min', 'hosts of one fleet share a repository'],
  ['Timer.FixedRandomDelay', 'yes', 'for each host it is the same delay every day'],
]

/** What a unit does at its end. */
const COUNT = `'case $(/bin/systemctl list-jobs --no-legend "$1") in *" stop "* | *" restart "*) ;; *) /bin/systemctl --no-block start "endoreg-failures@$1" ;; esac'`
const OF_ITS_OWN = 'an end that nobody asked for is counted'

const CONDITION_OF_ALERT =
  `+/bin/sh -c 'said=$(systemctl show "$1" --property=LoadState,ActiveState,Restart,RestartPreventExitStatus,InactiveExitTimestampMonotonic,ExecMainExitTimestampMonotonic,ExecMainCode,ExecMainStatus); ` +
  'of() { echo "$said" | sed -n "s/^$1=//p"; }; ' +
  'case $(of LoadState),$(of ActiveState) in not-found,*) exit 0 ;; *,failed) ;; *) exit 1 ;; esac; ' +
  '[ "$(of Restart)" != no ] || exit 0; ' +
  '[ "$(of InactiveExitTimestampMonotonic)" -lt "$(of ExecMainExitTimestampMonotonic)" ] || exit 0; ' +
  'status=$(of ExecMainStatus); ' +
  '[ "$(of ExecMainCode)" = 1 ] || status=$(kill -l "$status"); ' +
  `case " $(of RestartPreventExitStatus) " in *" $status "*) ;; *) exit 1 ;; esac' sh %i.service`

const SCRIPT_OF_ALERT =
  `/bin/sh -fc ' ` +
  'case $1 in ' +
  'endoreg-failures@*) unit=$${1#*@} how="keeps failing" ;; ' +
  '*) unit=$1 how="has failed$${MONITOR_SERVICE_RESULT:+ ($MONITOR_SERVICE_RESULT, $MONITOR_EXIT_STATUS)}" ;; ' +
  'esac; ' +
  'echo "<3>$unit $how; see: journalctl -u $unit"; ' +
  '[ -z "$ENDOREG_ALERT_COMMAND" ] || $ENDOREG_ALERT_COMMAND "$unit" || { ' +
  `echo "<3>nobody was told of $unit: ENDOREG_ALERT_COMMAND ended with $?"; exit 1; }' sh %i.service`

/** What the drill has in another way than the others: it makes namespaces. */
const OTHERWISE = new Set(['Service.RestrictNamespaces', 'Service.SystemCallFilter'])

/** All that is in each unit, its description apart, and why. */
export const DIRECTIVES: Readonly<Record<string, readonly Wanted[]>> = {
  'postgres-endoreg-setup.service': [
    ...PASSWORD,
    ...runOfItsOwn(
      '-/run/postgresql -/run/secrets -/run/agenix',
      '-/etc/ssh -/etc/secrets/restic_password -/var/backups',
    ),
    [
      'Unit.Wants',
      'postgresql.service',
      'wanted, not required: a restart of PostgreSQL stops nothing that works',
    ],
    [
      'Unit.After',
      'postgresql.service postgresql-setup.service postgresql.target nss-user-lookup.target endoreg-failures@%N.service',
      "PostgreSQL as Debian and NixOS have it, and the host's accounts; and what counts stays loaded",
    ],
    [
      'Unit.StartLimitIntervalSec',
      '12h',
      'hours for what may pass; a start that waits for PostgreSQL never comes to it',
    ],
    [
      'Unit.StartLimitBurst',
      '1000',
      'hours for what may pass; a start that waits for PostgreSQL never comes to it',
    ],
    [
      'Service.RemainAfterExit',
      'yes',
      'else what requires it would start it again, and it would not count as up',
    ],
    ['Service.ExecStart', '/usr/bin/postgres-endoreg-setup', 'the setup'],
    [
      'Service.ExecStartPost',
      `-+/bin/sh -c 'nsenter --target=1 --mount /bin/sh -c "${startEnabled('endo-api-boot.service')}"; :'`,
      'a oneshot that fails and succeeds later never starts what requires it; systemctl needs the /run of the host',
    ],
    [
      'Service.ExecStopPost',
      `-+/bin/sh -c 'nsenter --target=1 --mount /bin/sh -c "$1" sh "$2"' sh ${COUNT} %n`,
      OF_ITS_OWN,
    ],
    ['Service.RestartSec', '10', 'the API comes soon after what it waits for'],
    ['Service.Nice', '-5', 'the boot waits for it'],
    [
      'Service.ReadWritePaths',
      `-/etc/secrets/vault -/etc/postgresql ${METRICS}`,
      'vault, access rules, results',
    ],
    ['Install.WantedBy', 'multi-user.target', 'it runs at every boot'],
  ],
  'endo-api-boot.service': [
    ...SANDBOX,
    ...RUN_OF_THE_HOST,
    ['Unit.Requires', 'postgres-endoreg-setup.service', 'no copy of a password that was not proved'],
    [
      'Unit.After',
      'postgres-endoreg-setup.service network-online.target nss-user-lookup.target endoreg-failures@%N.service',
      'the setup; a network, where one comes, for a checkout that is cloned; and what counts stays loaded',
    ],
    [
      'Unit.StartLimitIntervalSec',
      '12h',
      'hours for what may pass; a start that waits for PostgreSQL never comes to it',
    ],
    [
      'Unit.StartLimitBurst',
      '1000',
      'hours for what may pass; a start that waits for PostgreSQL never comes to it',
    ],
    ['Unit.OnFailure', 'endoreg-alert@%N.service', 'somebody is told'],
    ['Service.Type', 'oneshot', 'the API comes after its end'],
    ['Service.RemainAfterExit', 'yes', 'the API requires it for as long as it runs'],
    ['Service.User', 'endoreg-service-user', 'the files that it writes are of this account'],
    ['Service.Group', 'endoreg-service', 'the files that it writes are of this group'],
    [
      'Service.SupplementaryGroups',
      'sensitiveServices',
      'it reads the vault even where the account is not in the group yet',
    ],
    ['Service.ExecStart', '/usr/bin/endo-api-boot', 'waits for the login and installs the copies'],
    [
      'Service.ExecStartPost',
      `-+/bin/sh -c '${startEnabled('endo-api.service')}; :'\n${PASS_METRICS}`,
      'as in the setup, and here for the API; and then metrics, which delay nothing',
    ],
    ['Service.RuntimeDirectory', 'endo-api-boot', 'where the account leaves metrics for root to pass on'],
    ['Service.RuntimeDirectoryMode', '0700', 'nobody else puts anything there'],
    [
      'Service.RuntimeDirectoryPreserve',
      'yes',
      'what passes them on comes after the end of a run that failed',
    ],
    [
      'Service.ExecStopPost',
      `-+/bin/sh -c ${COUNT} sh %n\n${PASS_METRICS}`,
      `${OF_ITS_OWN}; and a run that failed leaves metrics too`,
    ],
    ['Service.TimeoutStartSec', 'infinity', 'the program has its own deadline, which is below it'],
    ['Service.Restart', 'on-failure', 'a failure that may pass is tried again'],
    ['Service.RestartSec', '10', 'the API comes soon after what it waits for'],
    [
      'Service.RestartPreventExitStatus',
      '64 70 77 78',
      'usage, a bug, a right, a setting: trying again mends none',
    ],
    ['Service.NotifyAccess', 'main', 'the status line comes from the command; git says nothing to systemd'],
    ['Service.UMask', '0027', 'the group reads a checkout that is cloned, and others do not'],
    ['Service.CapabilityBoundingSet', '', 'the account has no right of root, nor ever gets one'],
    ['Service.AmbientCapabilities', '', 'the account has no right of root, nor ever gets one'],
    [
      'Service.ReadWritePaths',
      `-/var/endoreg-service-user -/run/endo-api-boot ${METRICS}`,
      'its own home, and results',
    ],
    ['Service.ProtectHome', 'yes', 'its own home is in /var'],
    callsOfNobody('@system-service @pkey'),
    ['Install.WantedBy', 'multi-user.target', 'it runs at every boot'],
  ],
  'endo-api.service': [
    ...EVERY_SERVICE,
    ['Unit.Requires', 'endo-api-boot.service', 'no API without its password'],
    [
      'Unit.After',
      'endo-api-boot.service endoreg-failures@%N.service',
      'not before its password is there; and what counts stays loaded',
    ],
    ['Unit.PartOf', 'endo-api-boot.service', 'a restart of that one restarts the API, also in two steps'],
    ['Service.Type', 'exec', 'a command that is missing is a failed start'],
    ['Service.User', 'endoreg-service-user', 'the API is never root'],
    ['Service.Group', 'endoreg-service', 'the API is in no other group'],
    [
      'Service.Environment',
      [
        'ENDOREG_API_DIR=/var/endoreg-service-user/endo-api',
        '"ENDOREG_API_COMMAND=devenv shell -- run-prod-server"',
        'LX_MAINTENANCE_PASSWORD_FILE=/etc/secrets/vault/SCRT_local_password_maintenance_password',
      ].join('\n'),
      'what the API is, and where it finds its settings',
    ],
    [
      'Service.EnvironmentFile',
      '-/etc/endoreg/provision.env',
      'a host may say otherwise, and need not have the file',
    ],
    [
      'Service.ExecStart',
      [
        `/bin/sh -c 'cd "$ENDOREG_API_DIR" && here=$ENDOREG_API_DIR && export CONF_DIR="$here/conf"`,
        `DATA_DIR="$${'$'}{DATA_DIR:-$here/data}" CONF_TEMPLATE_DIR="$${'$'}{CONF_TEMPLATE_DIR:-$here/conf_template}"`,
        'DB_CONFIG_FILE="$here/conf/db.yaml" DB_PWD_FILE="$here/conf/db_pwd"',
        `HTTP_PROTOCOL="$${'$'}{HTTP_PROTOCOL:-http}" DJANGO_HOST="$${'$'}{DJANGO_HOST:-localhost}"`,
        `DJANGO_PORT="$${'$'}{DJANGO_PORT:-8118}" DJANGO_MODULE="$${'$'}{DJANGO_MODULE:-endo_api}" &&`,
        `export BASE_URL="$${'$'}{BASE_URL:-$HTTP_PROTOCOL://$DJANGO_HOST:$DJANGO_PORT}"`,
        `DJANGO_SETTINGS_MODULE="$${'$'}{DJANGO_SETTINGS_MODULE:-$DJANGO_MODULE.settings_prod}"`,
        'PATH="$PATH:$HOME/.nix-profile/bin:$HOME/.local/state/nix/profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin" &&',
        "exec $ENDOREG_API_COMMAND'",
      ].join(' '),
      'every variable is absolute, and systemd knows its process',
    ],
    ['Service.ExecStopPost', `-+/bin/sh -c ${COUNT} sh %n`, OF_ITS_OWN],
    ['Service.Restart', 'always', 'a crash is no end, and an end is a crash'],
    ['Service.SuccessExitStatus', '143', 'what a shell says of an API that was asked to stop'],
    ['Service.RestartSec', '10', 'and leaves PostgreSQL some rest'],
    ['Unit.StartLimitIntervalSec', '12h', 'one that ends at once has failed after three hours'],
    ['Unit.StartLimitBurst', '1000', 'one that ends at once has failed after three hours'],
    ['Unit.OnFailure', 'endoreg-alert@%N.service', 'somebody is told'],
    ['Service.MemoryMax', '2G', 'PostgreSQL keeps its memory'],
    ['Service.CPUQuota', '200%', 'PostgreSQL keeps its processors'],
    ['Service.UMask', '0027', 'the group reads what the API writes, and others do not'],
    ['Service.PrivateTmp', 'yes', 'other accounts prepare no file or link in /tmp'],
    ['Service.ProtectControlGroups', 'yes', 'the limits above stay as they are'],
    ['Service.ProtectKernelLogs', 'yes', 'no web application needs it'],
    ['Service.ProtectKernelModules', 'yes', 'no web application needs it'],
    ['Service.ProtectKernelTunables', 'yes', 'no web application needs it'],
    ['Service.RestrictRealtime', 'yes', 'nothing takes a processor away from PostgreSQL'],
    ['Service.RestrictSUIDSGID', 'yes', 'leaves no file that gives its rights to whoever runs it'],
    ['Service.LockPersonality', 'yes', 'no older way of the kernel, with older gaps'],
    ['Install.WantedBy', 'multi-user.target', 'it runs at every boot'],
  ],
  'endoreg-backup.service': [
    ...MAINTENANCE,
    ...runOfItsOwn(`-/root/.ssh -/run/postgresql ${OTHER_HOSTS}`, NO_SECRETS),
    [
      'Unit.After',
      'postgresql.service postgresql-setup.service postgresql.target postgres-endoreg-setup.service network-online.target nss-user-lookup.target',
      'what is up already; none is wanted: who has stopped PostgreSQL does not want a timer to start it',
    ],
    [
      'Service.ExecStart',
      '/usr/bin/backup-postgres --retry 60',
      'an attempt made again for its copy makes no second backup',
    ],
    ['Service.Nice', '10', 'PostgreSQL comes first'],
    ['Service.ReadWritePaths', `-/var/backups/endoreg ${METRICS}`, 'the backups, and results'],
  ],
  'endoreg-restore-drill.service': [
    ...MAINTENANCE.filter(([name]) => !OTHERWISE.has(name)),
    ...runOfItsOwn(`-/root/.ssh ${OTHER_HOSTS}`, `${NO_SECRETS} -/etc/postgresql -/var/lib/postgresql`),
    [
      'Service.RestrictNamespaces',
      'user mnt net pid ipc',
      'what is restored may run code, which is shut up in these',
    ],
    [
      'Service.SystemCallFilter',
      '@system-service @pkey @mount\n~@resources @keyring',
      'as in the others; @mount for what is seen in those namespaces, and without CAP_SYS_ADMIN for nothing else',
    ],
    [
      'Unit.After',
      'endoreg-backup.service network-online.target nss-user-lookup.target',
      'where both are due, of the backup that is just being made',
    ],
    ['Service.ExecStart', '/usr/bin/restore-postgres --drill', 'the drill'],
    ['Service.Nice', '19', 'everything comes first'],
    ['Service.ReadWritePaths', METRICS, 'results; the backups are read only'],
  ],
  'endoreg-metrics.service': [
    ...SANDBOX,
    CALLS_OF_ROOT,
    ...runOfItsOwn('', '-/etc/ssh -/etc/secrets -/var/backups').filter(
      ([name]) => name !== 'Service.BindReadOnlyPaths',
    ),
    [
      'Service.BindReadOnlyPaths',
      '-/run/systemd/resolve -/run/nscd',
      'the name service; it has nothing to say to systemd',
    ],
    ['Service.BindPaths', '-/run/endo-api-boot', 'what it passes on, and then takes away'],
    ['Unit.After', 'nss-user-lookup.target', "the host's accounts"],
    ['Unit.StartLimitIntervalSec', '0', 'it comes with every attempt of endo-api-boot'],
    ['Unit.OnFailure', 'endoreg-alert@%N.service', 'somebody is told what the account has put there'],
    ['Service.Type', 'oneshot', 'it ends when all is passed on'],
    ['Service.ExecStart', '/usr/bin/endo-api-boot --pass-metrics /run/endo-api-boot', 'passes them on'],
    ['Service.TimeoutStartSec', '1min', 'the account could stop for ever what works for it'],
    [
      'Service.CapabilityBoundingSet',
      'CAP_SETGID CAP_SETUID',
      'it reads with the ids of one account, and writes with those of another',
    ],
    ['Service.ReadWritePaths', METRICS, 'results'],
    ['Service.ProtectHome', 'yes', 'nothing of it is in a home'],
    ['Service.PrivateNetwork', 'yes', 'it has nothing to say to anybody'],
    ['Service.UMask', '0077', 'what is made without a mode of its own is for root alone'],
  ],
  'endoreg-rotate-password.service': [
    ...PASSWORD,
    ...RUN_OF_THE_HOST,
    [
      'Unit.Requires',
      'postgres-endoreg-setup.service',
      'no new password where the present one was not proved',
    ],
    ['Unit.After', 'postgres-endoreg-setup.service endo-api-boot.service', 'after whoever installs the copy'],
    ['Service.ExecStart', '/usr/bin/sync-password --rotate', 'the rotation'],
    ['Service.RestartSec', '30', 'one that was interrupted is not left so until the next month'],
    ['Unit.StartLimitIntervalSec', '1h', 'ten starts, and then somebody is told'],
    ['Unit.StartLimitBurst', '10', 'ten starts, and then somebody is told'],
    [
      'Service.ReadWritePaths',
      `-/etc/secrets/vault -/var/endoreg-service-user ${METRICS}`,
      'vault, the copy of the API, results',
    ],
  ],
  'endoreg-alert@.service': [
    ...SANDBOX,
    ...RUN_OF_THE_HOST,
    ['Unit.After', 'network.target nss-user-lookup.target', 'at a shutdown the network goes last'],
    ['Unit.StartLimitIntervalSec', '0', 'no failure goes untold because there were others'],
    ['Service.Type', 'oneshot', 'it ends when somebody is told'],
    ['Service.EnvironmentFile', '-/etc/endoreg/provision.env', 'what the host has for ENDOREG_ALERT_COMMAND'],
    ['Service.ExecCondition', CONDITION_OF_ALERT, 'only what has failed for good, and nobody has stopped'],
    [
      'Service.ExecStart',
      SCRIPT_OF_ALERT,
      "names the unit; no pattern in the command (-f); its end is the alert's own",
    ],
    ['Service.TimeoutStartSec', '2min', 'a command that hangs keeps nothing'],
    ['Service.SyslogIdentifier', 'endoreg-alert', 'its lines are found'],
    ['Service.DynamicUser', 'yes', 'an account that owns nothing'],
    ['Service.CapabilityBoundingSet', '', 'the command needs no right of root'],
    ['Service.AmbientCapabilities', '', 'the command needs no right of root'],
    ['Service.PrivateUsers', 'yes', 'whoever becomes root in it is nobody outside'],
    ['Service.ProtectHome', 'yes', 'nothing of it is in a home'],
    ['Service.UMask', '0077', 'what it leaves is for nobody'],
    callsOfNobody('@system-service'),
  ],
  'endoreg-failures@.service': [
    ...EVERY_SERVICE,
    [
      'Unit.StartLimitIntervalSec',
      '2h',
      'the sixth time within two hours is one too many, also of clones that each take their whole time',
    ],
    ['Unit.StartLimitBurst', '5', 'the sixth time within two hours is one too many'],
    ['Unit.OnFailure', 'endoreg-alert@%N.service', 'somebody is told'],
    ['Service.Type', 'oneshot', 'each start counts'],
    ['Service.ExecStart', '/bin/sh -c :', 'it does nothing'],
    ['Service.DynamicUser', 'yes', 'not even that as root'],
    ['Service.PrivateTmp', 'yes', 'as everywhere'],
  ],
  'endoreg-backup.timer': [
    ...timer('*-*-* 01:00', 'not between two and three, which some nights have twice and others not at all'),
    ...SPREAD,
  ],
  'endoreg-restore-drill.timer': [...timer('Sun *-*-* 04:00', 'after the backup of that night'), ...SPREAD],
  'endoreg-rotate-password.timer': [
    ...timer('monthly', 'a new password every month'),
    ['Timer.RandomizedDelaySec', '6h', 'not every host of a fleet at midnight'],
  ],
}
