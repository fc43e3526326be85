import { randomBytes } from 'node:crypto'
import { POSTGRESQL, type Release } from './base.ts'
import type { Container } from './container.ts'

export type MachineFile = {
  readonly text: string | Buffer
  /** In octal digits; by default 644. */
  readonly mode?: string
  /** NAME or NAME:GROUP, of the machine; by default root. */
  readonly owner?: string
}

export type MachineOptions = {
  /** What is on the disk before the first boot, by absolute path. */
  readonly files?: Readonly<Record<string, MachineFile>>
  /** A drop-in for each unit named. */
  readonly dropIns?: Readonly<Record<string, string>>
  /** Units that cannot be started. */
  readonly masks?: readonly string[]
  /** Shell commands, run as root inside the machine before the first boot, after all of the above. */
  readonly commands?: readonly string[]
  /** How much can be written to the machine, as tmpfs wants it; by default 1G. */
  readonly diskSize?: string
  /** What `boot` waits for; by default 'running'. */
  readonly until?: Until
}

/**
 * What a boot waits for: every unit is there and none has failed; all is done, whether or not a unit has
 * failed; systemd answers; or it has just started.
 */
export type Until = 'running' | 'settled' | 'answering' | 'started'

/** Puts on the disk of a container what makes it a machine of its own, and what the test wants there. */
export async function furnish(container: Container, options: MachineOptions): Promise<void> {
  const { files = {}, dropIns = {}, masks = [], commands = [] } = options
  const { name } = container
  const hosts = `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${name}\n`
  const all: Record<string, MachineFile> = {
    '/etc/machine-id': { text: `${randomBytes(16).toString('hex')}\n`, mode: '444' },
    '/etc/hostname': { text: `${name}\n` },
    '/etc/hosts': { text: hosts },
    ...Object.fromEntries(
      Object.entries(dropIns).map(([unit, text]) => [`/etc/systemd/system/${unit}.d/test.conf`, { text }]),
    ),
    ...files,
  }
  for (const [path, { text, mode = '644', owner = 'root:root' }] of Object.entries(all)) {
    const write = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chown "$2" "$1" && chmod "$3" "$1"'
    await container.prepare(['sh', '-c', write, 'sh', path, owner, mode], { input: text })
  }
  if (masks.length > 0) await container.prepare(['systemctl', '--quiet', 'mask', ...masks])
  for (const command of commands) await container.prepare(['bash', '-c', command])
}

/**
 * Drop-ins with which systemd runs `postgres` itself. Debian's own unit goes through a wrapper in Perl that
 * takes two seconds of every boot; what the tests want to know about PostgreSQL is mostly the same without.
 */
export function fastPostgres(release: Release): Readonly<Record<string, string>> {
  const version = POSTGRESQL[release]
  const log = `/var/log/postgresql/postgresql-${version}-main.log`
  return {
    [`postgresql@${version}-main.service`]: `[Service]
Type=notify
User=postgres
PIDFile=
ExecStart=
ExecStart=/usr/lib/postgresql/${version}/bin/postgres -D /etc/postgresql/${version}/main
ExecReload=
ExecReload=/bin/kill -HUP $MAINPID
ExecStop=
KillMode=mixed
KillSignal=SIGINT
StandardOutput=append:${log}
StandardError=append:${log}
`,
  }
}
