import { existsSync } from 'node:fs'
import type { Base } from './base.ts'
import { Container, REBOOT } from './container.ts'
import { type JournalEntry, parseJournal } from './journal.ts'
import { furnish, type MachineOptions, type Until } from './options.ts'
import { LOST, poll } from './poll.ts'
import { type Outcome, type ProgramOptions, runProgram } from './program.ts'

/** The part of tap's `t` that is needed here. */
type Teardown = { teardown: (work: () => unknown) => void }

export type RunOptions = ProgramOptions & {
  /** The account to run as; by default root. */
  readonly user?: string
}

/** What timeout(1) exits with when it had to end the command. */
const TIMED_OUT = 124
let count = 0

/** A machine with a real systemd that boots from a base; whatever it writes is gone after the test. */
export class Machine {
  readonly #container: Container

  private constructor(container: Container) {
    this.#container = container
  }

  /** Makes a machine and boots it. */
  static async boot(t: Teardown, base: Base, options: MachineOptions = {}): Promise<Machine> {
    count += 1
    const name = `endoreg-${process.pid}-${count}`
    const container = await Container.create(name, base, options.diskSize ?? '1G')
    t.teardown(() => container.release())
    await furnish(container, options)
    const machine = new Machine(container)
    await machine.start(options.until)
    return machine
  }

  /** Boots the machine again, from the disk as it is. */
  async start(until: Until = 'running'): Promise<void> {
    await this.#container.boot()
    if (until === 'started') return
    const ready = this.path('/run/systemd/private')
    await poll('systemd answers', () => existsSync(ready))
    if (until === 'answering') return
    const { out } = await this.run('systemctl is-system-running --wait', { check: false })
    if (until === 'running' && out.trim() !== 'running') {
      throw new Error(`the machine is ${out.trim()}, not running\n${await this.#state()}`)
    }
  }

  /** Reboots as `systemctl reboot` does. */
  async reboot(until?: Until): Promise<void> {
    await this.run('systemctl reboot', { check: false })
    const code = await this.#container.ended()
    if (code !== REBOOT) throw new Error(`instead of a reboot, code ${code}: ${this.#container.console}`)
    await this.start(until)
  }

  /** Everything inside is killed at once. What was written is still there: it was with the kernel. */
  async powerCut(): Promise<void> {
    await this.#container.end('power cut')
  }

  /** Shuts the machine down in good order; `start` boots it again. */
  async stop(): Promise<void> {
    await this.#container.end('shut down')
  }

  /**
   * Runs a command inside: a text with bash, a list as it is. With all capabilities that root here has, and
   * outside of every unit; what a unit's own sandbox allows is for `systemd-run` to find out.
   */
  async run(command: string | readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const { user, check = true, ...rest } = options
    const argv = typeof command === 'string' ? ['bash', '-c', command] : command
    const outcome = await runProgram(
      [
        ...['nsenter', `--target=${this.#container.leader}`, '--all', '--'],
        ...['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8'],
        ...['timeout', '--kill-after=5', String(LOST)],
        ...(user === undefined ? [] : ['runuser', '-u', user, '--']),
        ...argv,
      ],
      { ...rest, check: false },
    )
    const { code, out, err } = outcome
    if (code === TIMED_OUT) throw new Error(`not done after ${LOST} s: ${argv.join(' ')}\n${out}${err}`)
    if (check && code !== 0) throw new Error(`exit code ${code} of: ${argv.join(' ')}\n${out}${err}`)
    return outcome
  }

  /**
   * Where this process finds a file of the machine. An absolute symbolic link on the way leads out of the
   * machine: such a path is for `run`.
   */
  path(inside: string): string {
    return `${this.#container.root}${inside}`
  }

  /** The properties of a unit: ActiveState, Result, ExecMainStatus and all others of `systemctl show`. */
  async unit(name: string): Promise<Readonly<Record<string, string>>> {
    const { out } = await this.run(['systemctl', 'show', name])
    return Object.fromEntries(
      out.split('\n').map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )
  }

  /** The journal of all boots, or what concerns one unit there, oldest entry first. */
  async journal(unit?: string): Promise<JournalEntry[]> {
    // A machine that answers need not have its journal yet.
    await this.waitFor(
      'the journal answers',
      async () => (await this.run(['journalctl', '--sync'], { check: false })).code === 0,
    )
    const of = unit === undefined ? [] : ['--unit', unit]
    const { out } = await this.run(['journalctl', '--output=json', '--all', ...of], { check: false })
    return parseJournal(out)
  }

  /** Looks until `condition` holds, and fails with what the machine says about itself. */
  async waitFor(description: string, condition: () => unknown | Promise<unknown>): Promise<void> {
    try {
      await poll(description, condition)
    } catch (error) {
      throw new Error(`${String(error)}\n${await this.#state()}`, { cause: error })
    }
  }

  async #state(): Promise<string> {
    const looks = ['systemctl list-units --failed --no-legend', 'systemctl list-jobs --no-legend']
    const looking = this.run([...looks, 'journalctl --no-pager --lines 60'].join('; '), { check: false })
    const { out } = await looking.catch((error: unknown) => ({ out: String(error) }))
    return `${out}\nconsole: ${this.#container.console.split('\n').slice(-20).join('\n')}`
  }
}
