import { POSTGRESQL, type Release } from './base.ts'
import type { Machine } from './machine.ts'
import type { MachineOptions } from './options.ts'
import { fastPostgres } from './options.ts'

/** Debian's cluster in a machine, and what the tests of a reset do with it. */
export class DebianCluster {
  readonly version: number
  readonly folder: string
  readonly configuration: string
  readonly unit: string

  constructor(release: Release) {
    this.version = POSTGRESQL[release]
    this.folder = `/var/lib/postgresql/${this.version}`
    this.configuration = `/etc/postgresql/${this.version}/main`
    this.unit = `postgresql@${this.version}-main.service`
  }

  get data(): string {
    return `${this.folder}/main`
  }

  /**
   * The options of a machine in which this cluster can be moved: overlayfs renames no folder of the layer below
   * (EXDEV), so it gets a copy of its own.
   */
  options(release: Release, stock = false): MachineOptions {
    const copy = `cd ${this.folder} && cp -a main copy && rm -r main && mv copy main`
    return { commands: [copy], ...(stock ? {} : { dropIns: fastPostgres(release) }) }
  }

  async query(machine: Machine, sql: string, database = 'endoregDbLocal'): Promise<string> {
    const psql = ['sudo', '-u', 'postgres', 'psql', '-qXAt', '-d', database, '-c', sql]
    return (await machine.run(psql)).out.trim()
  }

  /** What pg_control calls the cluster in each data folder beside each other: whose rows it has. */
  async identifiers(machine: Machine): Promise<ReadonlyMap<string, string>> {
    const program = `/usr/lib/postgresql/${this.version}/bin/pg_controldata`
    const { out } = await machine.run(
      `cd ${this.folder} && for d in *; do echo "$d $(LC_ALL=C ${program} -D $d 2>/dev/null | sed -n 's/^Database system identifier: *//p')"; done`,
    )
    return new Map(
      out
        .trim()
        .split('\n')
        .map(line => [line.split(' ')[0] ?? '', line.split(' ')[1] ?? '']),
    )
  }

  /** The folders beside the data folder, by name. */
  async beside(machine: Machine): Promise<string[]> {
    const { out } = await machine.run(['ls', '-A', this.folder])
    return out.split('\n').filter(name => name !== '' && name !== 'main')
  }

  /** A digest of every file of the configuration with its name, owner and mode. */
  async configurationDigest(machine: Machine): Promise<string> {
    const list = `find . -printf '%p %U:%G %m %l\\n' | sort; find . -type f | sort | xargs sha256sum`
    return (await machine.run(`cd /etc/postgresql && { ${list}; } | sha256sum`)).out
  }
}
