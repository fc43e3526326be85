import type { Test } from 'tap'
import type { Release } from './base.ts'
import { apiAnswers, clinic, host } from './clinic.ts'
import { DebianCluster } from './cluster.ts'
import { Machine } from './machine.ts'

const ROWS = '1000'
const JOURNAL = '/var/lib/endoreg-provision/reset.json'

/** A clinic's host whose cluster has rows that are not to be lost. */
export class ResetHost {
  readonly machine: Machine
  readonly cluster: DebianCluster
  readonly name: string
  /** Of the cluster with the rows. */
  readonly identifier: string
  readonly configuration: string

  private constructor(
    machine: Machine,
    cluster: DebianCluster,
    name: string,
    identifier: string,
    configuration: string,
  ) {
    this.machine = machine
    this.cluster = cluster
    this.name = name
    this.identifier = identifier
    this.configuration = configuration
  }

  /** @param settings lines of the settings file */
  static async boot(
    t: Test,
    release: Release,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<ResetHost> {
    const cluster = new DebianCluster(release)
    const machine = await Machine.boot(t, await clinic(release), host(settings, cluster.options(release)))
    await apiAnswers(machine)
    await cluster.query(machine, `CREATE TABLE patients AS SELECT g FROM generate_series(1, ${ROWS}) g`)
    const name = (await machine.run('hostname')).out.trim()
    const identifier = (await cluster.identifiers(machine)).get('main') ?? ''
    return new ResetHost(machine, cluster, name, identifier, await cluster.configurationDigest(machine))
  }

  command(...options: readonly string[]): string {
    return `reset-psql-safe --yes-delete ${this.name} ${options.join(' ')}`
  }

  /** Whether something was begun and not finished. */
  async isLeft(): Promise<boolean> {
    return (await this.machine.run(`test -e ${JOURNAL}`, { check: false })).code === 0
  }

  async succeeds(t: Test, command: string): Promise<void> {
    const { code, err } = await this.machine.run(command, { check: false })
    t.equal(code, 0, code === 0 ? command : `${command}: ${err}`)
  }

  /** A working cluster is there, and the rows are in it or set aside. Ends with them in use, and nothing beside them. */
  async isWhole(t: Test, where: 'in use' | 'aside' | 'somewhere'): Promise<void> {
    const { machine, cluster, identifier } = this
    await apiAnswers(machine)
    t.notOk(await this.isLeft(), 'nothing is left to be done')
    t.equal(await cluster.configurationDigest(machine), this.configuration, 'the configuration is as it was')
    const found = await cluster.identifiers(machine)
    const folders = [...found].filter(([, its]) => its === identifier).map(([folder]) => folder)
    t.equal(folders.length, 1, `the rows are in one folder: ${[...found].join('; ')}`)
    if (where === 'in use') t.same(folders, ['main'])
    if (where === 'aside') t.match(folders, [/^main\.before-reset-/])
    const [folder] = folders
    if (folder !== 'main') await this.succeeds(t, `reset-psql-safe --undo-to ${folder}`)
    t.equal(await cluster.query(machine, 'SELECT count(*) FROM patients'), ROWS)
    await apiAnswers(machine)
    await this.succeeds(t, this.command('--purge-old'))
    t.same(await cluster.beside(machine), [])
  }
}
