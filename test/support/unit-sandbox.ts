import type { Wanted } from './unit-file.ts'

// What units have in common, with the reason for each. `unit-directives.ts` says which unit has which.

export const EVERY_UNIT: readonly Wanted[] = [
  [
    'Unit.Documentation',
    'file:///usr/share/doc/endoreg-provision/README.md',
    'systemctl status names what to read',
  ],
]

export const EVERY_SERVICE: readonly Wanted[] = [
  ...EVERY_UNIT,
  [
    'Service.LimitCORE',
    '1',
    'no core holds the password; with 0 a program in core_pattern would still get one',
  ],
  ['Service.NoNewPrivileges', 'yes', 'no program with a set-id bit gives anybody rights again'],
]

/** The sandbox of all units but the API itself, which says on its own what it needs. */
export const SANDBOX: readonly Wanted[] = [
  ...EVERY_SERVICE,
  ['Service.ProtectSystem', 'strict', 'what is not named in ReadWritePaths= is read-only'],
  ['Service.PrivateTmp', 'yes', 'other accounts prepare no file or link in /tmp, nor in /var/tmp'],
  ['Service.PrivateIPC', 'yes', 'shared memory and queues of other accounts are out of reach'],
  ['Service.PrivateMounts', 'yes', 'no mount of the unit is seen by the host'],
  ['Service.PrivateDevices', 'yes', 'no disk, and no memory of the kernel, is within reach'],
  ['Service.DevicePolicy', 'closed', 'nor a device that is made by hand'],
  ['Service.ProtectClock', 'yes', 'the order of backups goes by the clock'],
  ['Service.ProtectControlGroups', 'yes', 'limits of other units stay as they are'],
  ['Service.ProtectHostname', 'yes', "the host's name is what a reset asks for"],
  ['Service.ProtectKernelLogs', 'yes', 'the kernel log is not for these'],
  ['Service.ProtectKernelModules', 'yes', 'no code gets into the kernel'],
  ['Service.ProtectKernelTunables', 'yes', 'core_pattern is one of them, which runs a program as root'],
  ['Service.ProtectProc', 'invisible', 'environment and memory of other processes are not seen'],
  ['Service.ProcSubset', 'pid', 'nor the rest of /proc'],
  ['Service.RestrictNamespaces', 'yes', 'no namespace in which the process would be root again'],
  ['Service.RestrictRealtime', 'yes', 'nothing takes a processor away from PostgreSQL'],
  ['Service.RestrictSUIDSGID', 'yes', 'leaves no file that gives its rights to whoever runs it'],
  ['Service.LockPersonality', 'yes', 'no older way of the kernel, with older gaps'],
  ['Service.RemoveIPC', 'yes', 'leaves nothing in shared memory'],
  ['Service.KeyringMode', 'private', 'keys of other services of the account are out of reach'],
  [
    'Service.RestrictAddressFamilies',
    'AF_UNIX AF_INET AF_INET6',
    "PostgreSQL's socket, loopbacks and other hosts; no packet sockets, no netlink",
  ],
  [
    'Service.SystemCallArchitectures',
    'native',
    'the filter below knows the numbers of one architecture only',
  ],
  [
    'Service.SystemCallErrorNumber',
    'EPERM',
    'what is refused is an error that is told, not a killed process',
  ],
]

/** Of a unit whose program has no rights, or calls systemctl. */
export const RUN_OF_THE_HOST: readonly Wanted[] = [
  ['Service.ReadOnlyPaths', '/run', 'ProtectSystem=strict leaves it writable'],
  ['Service.InaccessiblePaths', '-/dev/shm -/dev/mqueue', 'PrivateIPC= leaves the files of these'],
]

const HIDDEN = [
  ...['-/dev/shm', '-/dev/mqueue'],
  ...['-/etc/shadow', '-/etc/shadow-', '-/etc/gshadow', '-/etc/gshadow-', '-/etc/security/opasswd'],
  ...['-/etc/ssl/private', '-/etc/credstore', '-/etc/credstore.encrypted'],
  ...['-/var/lib/systemd', '-/var/lib/private', '-/var/log', '-/boot'],
]
/** Where other hosts are found, and what of their keys is not this program's. */
export const OTHER_HOSTS = '-/run/resolvconf -/run/NetworkManager/resolv.conf -/run/connman/resolv.conf'
export const NO_SECRETS =
  '-/etc/ssh/ssh_host_rsa_key -/etc/ssh/ssh_host_ecdsa_key -/etc/ssh/ssh_host_ed25519_key -/etc/secrets/vault -/var/backups/shadow.bak -/var/backups/gshadow.bak'

/** Of a unit of root's: of /run it has `needed`, and it does not see the secrets in `hidden` and those of the system. */
export const runOfItsOwn = (needed: string, hidden: string): readonly Wanted[] => [
  [
    'Service.TemporaryFileSystem',
    '/run:ro',
    'root in reach of the socket of systemd or D-Bus is in no sandbox',
  ],
  [
    'Service.BindReadOnlyPaths',
    `${needed} -/run/systemd/notify -/run/systemd/resolve -/run/nscd`,
    'what it needs there; the status line; the name service',
  ],
  ['Service.InaccessiblePaths', [...HIDDEN, hidden].join(' '), 'secrets and folders that it does not need'],
]

/** For a program that takes on other accounts' ids: a filter without @privileged would take setuid(2) from it. */
export const CALLS_OF_ROOT: Wanted = [
  'Service.SystemCallFilter',
  '@system-service @pkey\n~@resources @keyring',
  'what a service needs, and @pkey for the JavaScript engine; no priorities, limits and keyrings',
]

/** For an account that has no right at all. */
export const callsOfNobody = (first: string): Wanted => [
  'Service.SystemCallFilter',
  `${first}\n~@privileged @resources @keyring`,
  'what a service needs; nothing that only root may do anyway',
]

/** Our own commands as root. */
export const ROOT: readonly Wanted[] = [
  ...SANDBOX,
  CALLS_OF_ROOT,
  ['Service.Type', 'oneshot', 'whoever comes after it comes after its end'],
  ['Service.Restart', 'on-failure', 'a failure that may pass is tried again'],
  [
    'Service.NotifyAccess',
    'main',
    'the status line comes from the command; its children say nothing to systemd',
  ],
  ['Service.UMask', '0077', 'what is made without a mode of its own is for root alone'],
  ['Service.StateDirectory', 'endoreg-provision', 'the lock, and hashes of verifiers'],
  ['Service.StateDirectoryMode', '0700', 'what is in it is for root alone'],
  ['Unit.OnFailure', 'endoreg-alert@%N.service', 'somebody is told'],
]

/** Those that write vault and verifier. */
export const PASSWORD: readonly Wanted[] = [
  ...ROOT,
  ['Service.ProtectHome', 'yes', 'nothing of theirs is in a home'],
  [
    'Service.CapabilityBoundingSet',
    'CAP_CHOWN CAP_SETGID CAP_SETUID',
    'owner of the vault; ids of its owner and of postgres',
  ],
  ['Service.SupplementaryGroups', 'sensitiveServices', 'the folder of the vault is opened with this group'],
  ['Service.IPAddressDeny', 'any', 'the password has nothing to do at any other host'],
  ['Service.IPAddressAllow', 'localhost', 'the login is proved there'],
  [
    'Service.TimeoutStartSec',
    'infinity',
    'the program has its own deadline (ENDOREG_READY_TIMEOUT), which is below it',
  ],
  [
    'Service.RestartPreventExitStatus',
    '64 70 77 78',
    'usage, a bug, a right, a setting: trying again mends none',
  ],
]

/** Those that read or restore everything. */
export const MAINTENANCE: readonly Wanted[] = [
  ...ROOT,
  ['Unit.StartLimitIntervalSec', '6h', 'four starts, ten minutes apart, and then somebody is told'],
  ['Unit.StartLimitBurst', '4', 'four starts, ten minutes apart, and then somebody is told'],
  ['Service.RestartSec', '10min', 'another run that holds the lock may take a while'],
  ['Service.TimeoutStartSec', '12h', 'one that hangs has failed, and keeps the lock no longer'],
  ['Service.TimeoutStartFailureMode', 'kill', 'asked to stop it would say 75, and be tried again'],
  [
    'Service.RestartPreventExitStatus',
    '1 64 69 70 73 74 77 78 SIGKILL SIGABRT SIGBUS SIGILL SIGSEGV SIGTRAP SIGXCPU SIGXFSZ',
    'only 75 is left to be tried again: nothing else passes by itself',
  ],
  ['Service.IOSchedulingPriority', '7', 'PostgreSQL reads and writes first'],
  [
    'Service.CapabilityBoundingSet',
    'CAP_SETGID CAP_SETUID',
    'the programs of PostgreSQL run with other ids than root',
  ],
  ['Service.CacheDirectory', 'endoreg-provision', "restic's cache"],
  ['Service.CacheDirectoryMode', '0700', 'what is in it is for root alone'],
  ['Service.ProtectHome', 'tmpfs', 'no home but what is bound into it'],
]

/** Where results are left for node_exporter. */
export const METRICS = '-/var/lib/prometheus'
