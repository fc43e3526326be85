import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** The checkout, for Nix. */
export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some(folder => existsSync(join(folder, program)))

/** Why nothing of Nix can be tried here, for `skip`; false where it can. */
export const withoutNix: string | false =
  onPath('nix-instantiate') && onPath('nix-hash') ? false : 'Nix is not here (apt install nix-bin)'

/** nixpkgs' lib. */
export const LIB = process.env['NIXPKGS_LIB'] ?? '/nowhere'

/** Why no configuration can be evaluated here; false where it can. */
export const withoutLib: string | false =
  withoutNix || (existsSync(join(LIB, 'modules.nix')) ? false : "NIXPKGS_LIB is not the path of nixpkgs' lib")

/** A program's end. */
export type Ended = { readonly code: number | null; readonly out: string; readonly err: string }

/** Where a store's paths are good for another machine as well. */
const PLACE = '/nix/store'
/** Runs a program that sees the store of $1 there. */
const IN_PLACE = `mount --bind "$1/store" ${PLACE} && shift && exec "$@"`

/** Nix with a store of its own, which is gone after the test. */
export class Nix {
  readonly #root: string
  readonly #inPlace: boolean
  /** The PATH of what is built. */
  readonly path: string

  /** @param inPlace whether it is /nix/store for Nix, which takes root */
  constructor(t: Test, inPlace = false) {
    this.#root = mkdtempSync(join(tmpdir(), 'endoreg-nix-'))
    this.#inPlace = inPlace
    this.path = [join(CHECKOUT, 'node_modules/.bin'), process.env['PATH']].filter(Boolean).join(delimiter)
    mkdirSync(join(this.#root, 'store'))
    const made = inPlace ? mkdirSync(PLACE, { recursive: true }) : undefined
    t.teardown(() => {
      // Folders of a store are read-only, for their owner too.
      spawnSync('chmod', ['-R', 'u+w', this.#root])
      rmSync(this.#root, { recursive: true, force: true })
      if (made !== undefined) spawnSync('rmdir', ['--parents', PLACE])
    })
  }

  run(program: string, ...args: readonly string[]): Ended {
    const place = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', IN_PLACE, 'sh', this.#root]
    const [command = '', ...rest] = [...(this.#inPlace ? place : []), program, ...args]
    const { status, stdout, stderr } = spawnSync(command, rest, {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
      env: {
        PATH: this.path,
        HOME: this.#root,
        NIX_STORE_DIR: this.#inPlace ? PLACE : join(this.#root, 'store'),
        NIX_STATE_DIR: join(this.#root, 'state'),
        NIX_LOG_DIR: join(this.#root, 'log'),
        NIX_CONF_DIR: join(this.#root, 'conf'),
        NIX_CONFIG: 'sandbox = false\nbuild-users-group =\nsubstitute = false',
      },
    })
    return { code: status, out: stdout, err: stderr }
  }

  /** As `run`, for its output. Throws where it fails. */
  need(program: string, ...args: readonly string[]): string {
    const { code, out, err } = this.run(program, ...args)
    if (code !== 0) throw new Error(`${program}: ${err}`)
    return out.trim()
  }

  /** Puts a file into the store, and gives its path there. */
  add(name: string, text: string): string {
    const file = join(this.#root, name)
    writeFileSync(file, text)
    return this.need('nix-store', '--add', file)
  }

  /** A tar of store paths with all that they refer to, for the root of another machine. */
  archive(paths: readonly string[]): Buffer {
    const names = this.need('nix-store', '--query', '--requisites', ...paths)
      .split('\n')
      .map(path => `store/${basename(path)}`)
    const { stdout } = spawnSync(
      'tar',
      ['-C', this.#root, '--transform', 's,^store,nix/store,', '-cf', '-', ...names],
      {
        maxBuffer: 2 ** 28,
      },
    )
    return stdout
  }

  /** The value of a Nix expression, by way of JSON. Throws with what Nix says where it has none. */
  evaluate(expression: string): unknown {
    const { code, out, err } = this.#evaluate(expression)
    if (code !== 0) throw new Error(err)
    return JSON.parse(out)
  }

  /** What becomes of a host with `module`, a Nix expression, and with the module under test. Throws as `evaluate`. */
  host(module: string, options: HostOptions = {}): Host {
    return this.result(this.#hostOf(module, options))
  }

  /** The result of an evaluation (test/support/nix/evaluate.nix). */
  result(evaluation: string): Host {
    const { code, out, err } = this.#evaluate(`(${evaluation}).result`)
    if (code !== 0) throw new Error(err)
    return JSON.parse(out)
  }

  /** Builds the settings file of such a host, as far as it can be built. */
  buildSettings(module: string): Ended {
    const file = `(${this.#hostOf(module, {})}).evaluated.config.environment.etc."endoreg/provision.env".source`
    return this.run('nix-build', '--no-out-link', '-E', file)
  }

  /** Builds the package and the settings file of such a host. Throws where that fails. */
  build(module: string): { readonly package: string; readonly settings: string } {
    const config = `(${this.#hostOf(module, {})}).evaluated.config`
    const build = (option: string): string =>
      this.need('nix-build', '--no-out-link', '-E', `${config}.${option}`)
    return {
      package: build('services.endoreg-provision.package'),
      settings: build('environment.etc."endoreg/provision.env".source'),
    }
  }

  #evaluate(expression: string): Ended {
    const how = ['--eval', '--read-write-mode', '--strict', '--json']
    return this.run('nix-instantiate', ...how, '-E', expression)
  }

  #hostOf(module: string, { release = '26.05', luxnix = false }: HostOptions): string {
    return `import ${CHECKOUT}/test/support/nix/evaluate.nix {
      libPath = ${LIB};
      path = ${JSON.stringify(this.path)};
      release = "${release}";
      modulesPath = "${CHECKOUT}/test/support/nix/modules";
      modules = [ ${CHECKOUT}/units/nixos/${luxnix ? 'luxnix' : 'module'}.nix ${ADMIN} (${module}) ];
    }`
  }
}

/** The release of NixOS, and whether it is a host of LuxNix. */
export type HostOptions = { readonly release?: string; readonly luxnix?: boolean }

/** Every host has the vault's owner, unless a test takes it away. */
const ADMIN = '({ lib, ... }: { users.users.admin.isNormalUser = lib.mkDefault true; })'

/** A unit as the module adds to it. */
type Unit = {
  readonly wantedBy: readonly string[]
  readonly requires: readonly string[]
  readonly after: readonly string[]
  readonly path: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly restartTriggers: readonly string[]
  readonly restartIfChanged: boolean
  readonly serviceConfig: Readonly<Record<string, unknown>>
  readonly timerConfig: Readonly<Record<string, unknown>>
}
type Account = {
  readonly uid: number | null
  readonly isSystemUser: boolean
  readonly group: string
  readonly extraGroups: readonly string[]
  readonly home: string
  readonly homeMode: string
  readonly openssh: { readonly authorizedKeys: { readonly keys: readonly string[] } }
}

/** What becomes of a configuration (test/support/nix/evaluate.nix). */
export type Host = {
  readonly failed: readonly string[]
  readonly warnings: readonly string[]
  readonly services: Readonly<Record<string, Unit>>
  readonly targets: Readonly<Record<string, Unit>>
  readonly timers: Readonly<Record<string, Unit>>
  readonly tmpfiles: readonly string[]
  readonly packages: readonly string[]
  readonly commands: readonly string[]
  readonly users: Readonly<Record<string, Account>>
  readonly groups: Readonly<
    Record<string, { readonly gid: number | null; readonly members: readonly string[] }>
  >
  readonly etc: Readonly<Record<string, string>>
  readonly provision: {
    readonly settings: Readonly<Record<string, string | number | null>>
    readonly manifest: unknown
  }
  readonly postgresql: {
    readonly enable: boolean
    readonly authentication: string
    readonly identMap: string
    readonly settings: Readonly<Record<string, unknown>>
    /** Where it is enabled. */
    readonly dataDir?: string
    readonly package?: string
    readonly ensureDatabases: readonly string[]
    readonly ensureUsers: readonly unknown[]
  }
}
