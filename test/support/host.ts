import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { findAccount, findGroup, groupName } from '../../lib/host/accounts.ts'
import { BIN } from './checkout.ts'
import { Cluster, type ClusterOptions, type Runner } from './cluster.ts'
import { isRoot, type Result, type RunOptions, runCommand } from './command.ts'

/** tap's option for a test that needs root: why it is skipped, or false. */
export const needsRoot = { skip: isRoot ? false : 'needs root: other accounts and their files' } as const

/** The account that runs the test server. */
export function runner(): Runner {
  if (!isRoot) return { name: userInfo().username, uid: userInfo().uid, gid: userInfo().gid }
  const account = findAccount('postgres')
  if (!account) throw new Error('run the tests with: npm test')
  return account
}

/** The part of tap's `t` that is needed here. */
type Teardown = { teardown: (work: () => unknown) => void }

/** A clinic's host in a folder: a cluster, a vault, a checkout, and the settings that point to them. */
export class Host {
  readonly folder: string
  readonly cluster: Cluster
  readonly env: Record<string, string>

  private constructor(folder: string, cluster: Cluster, env: Record<string, string>) {
    this.folder = folder
    this.cluster = cluster
    this.env = env
  }

  /** A host with a bare, running PostgreSQL, no vault file and an empty checkout; gone after the test. */
  static async create(
    t: Teardown,
    options: Partial<ClusterOptions> & { start?: boolean } = {},
  ): Promise<Host> {
    const folder = mkdtempSync(join(tmpdir(), 'host-'))
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, 'home'))
    const cluster = await Cluster.create({
      bin: process.env['TEST_POSTGRES_BIN'] ?? '',
      template: process.env['TEST_POSTGRES_TEMPLATE'],
      folder: join(folder, 'cluster'),
      runner: runner(),
      ...options,
    })
    const me = userInfo().username
    const myGroup = groupName(userInfo().gid)
    const host = new Host(folder, cluster, {
      PATH: [process.env['TEST_NODE_BIN'], process.env['PATH']].filter(Boolean).join(':'),
      HOME: folder,
      PGHOST: cluster.socket,
      PGPORT: String(cluster.port),
      ENDOREG_VAULT_FILE: join(folder, 'etc/vault/SCRT_password'),
      ENDOREG_API_DIR: join(folder, 'home/endo-api'),
      ENDOREG_STATE_DIR: join(folder, 'state'),
      ENDOREG_BACKUP_DIR: join(folder, 'backups'),
      ...(isRoot
        ? {}
        : {
            ENDOREG_VAULT_OWNER: me,
            ENDOREG_VAULT_GROUP: myGroup,
            ENDOREG_SERVICE_USER: me,
            ENDOREG_SERVICE_GROUP: myGroup,
          }),
    })
    host.makeCheckout()
    t.teardown(async () => {
      await cluster.stop('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    })
    if (options.start !== false) await cluster.start()
    return host
  }

  get vaultFile(): string {
    return this.env['ENDOREG_VAULT_FILE'] ?? ''
  }

  get vaultFolder(): string {
    return join(this.vaultFile, '..')
  }

  get apiDir(): string {
    return this.env['ENDOREG_API_DIR'] ?? ''
  }

  get copy(): string {
    return join(this.apiDir, 'conf/db_pwd')
  }

  get yaml(): string {
    return join(this.apiDir, 'conf/db.yaml')
  }

  get local(): string {
    return join(this.apiDir, 'local_settings.py')
  }

  /** Django's SECRET_KEY. */
  get key(): string {
    return join(this.apiDir, 'conf/secret_key')
  }

  /** The service account's checkout, empty, in a home that is the account's own. */
  makeCheckout(): void {
    mkdirSync(this.apiDir, { recursive: true, mode: 0o750 })
    const service = findAccount('endoreg-service-user')
    const group = findGroup('endoreg-service')
    if (!isRoot || !service || !group) return
    for (const path of [join(this.folder, 'home'), this.apiDir]) chownSync(path, service.uid, group.gid)
  }

  /** Puts `bytes` into the vault file, with the folder above it, as somebody by hand would. */
  writeVault(bytes: string | Buffer, mode = 0o640): void {
    mkdirSync(this.vaultFolder, { recursive: true })
    writeFileSync(this.vaultFile, bytes, { mode })
  }

  /** The password as the API would read it, for content that needs no more than trim(). */
  vault(): string {
    return readFileSync(this.vaultFile, 'utf8').trim()
  }

  /** Runs `bin/NAME` with --json. */
  async run(name: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Result> {
    return runCommand(join(BIN, name), ['--json', ...args], {
      ...options,
      env: { ...this.env, ...options.env },
    })
  }

  setup(...args: string[]): Promise<Result> {
    return this.run('postgres-endoreg-setup', args)
  }

  sync(...args: string[]): Promise<Result> {
    return this.run('sync-password', args)
  }

  /** endo-api-boot, as the service account where there is one. */
  boot(args: readonly string[] = [], options: RunOptions = {}): Promise<Result> {
    return this.run('endo-api-boot', args, isRoot ? { as: 'endoreg-service-user', ...options } : options)
  }
}
