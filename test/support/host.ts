import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findAccount, findGroup, groupName } from '../../lib/files/accounts.ts'
import { Cluster, type ClusterOptions, type Runner } from './cluster.ts'

export const isRoot = process.getuid?.() === 0

/** tap's option for a test that needs root: why it is skipped, or false. */
export const needsRoot = { skip: isRoot ? false : 'needs root: other accounts and their files' } as const

/** The account that runs the test server. */
export function runner(): Runner {
  if (!isRoot) return { name: userInfo().username, uid: userInfo().uid, gid: userInfo().gid }
  const account = findAccount('postgres')
  if (!account) throw new Error('run the tests with: npm test')
  return account
}

/** What a command left behind. */
export type Result = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
  /** The document of --json. */
  readonly json: Document
}

export type Document = {
  readonly changed: boolean
  readonly check: boolean
  readonly changes: readonly { resource: string; action: string }[]
  readonly checks: readonly { name: string; ok: boolean }[]
  readonly error?: { code: number; message: string; cause: string; hint: string }
}

/** The part of tap's `t` that is needed here. */
type Teardown = { teardown: (work: () => unknown) => void }

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))

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
    const folder = mkdtempSync(join(tmpdir(), 'endoreg-host-'))
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
      ...(isRoot
        ? {}
        : {
            ENDOREG_VAULT_OWNER: me,
            ENDOREG_VAULT_GROUP: myGroup,
            ENDOREG_SERVICE_USER: me,
            ENDOREG_SERVICE_GROUP: myGroup,
          }),
    })
    chmodSync(folder, 0o755)
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

/** A shell script as the service account, or as the one that runs the tests where that is no root. */
export const asService = (script: string): [program: string, args: string[]] =>
  isRoot
    ? [
        'setpriv',
        [
          '--reuid',
          'endoreg-service-user',
          '--regid',
          'endoreg-service',
          '--init-groups',
          'sh',
          '-c',
          script,
        ],
      ]
    : ['sh', ['-c', script]]

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>
  /** The account to run as, with its groups. */
  readonly as?: string
  /** Without the groups that the account has beside its primary one. */
  readonly withoutGroups?: boolean
  readonly onError?: (text: string) => void
}

/** Runs a program to its end. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Result> {
  const { as, env } = options
  const command = as
    ? [
        'setpriv',
        '--reuid',
        as,
        '--regid',
        primaryGroup(as),
        options.withoutGroups ? '--clear-groups' : '--init-groups',
        file,
      ]
    : [file]
  const child = spawn(command[0] ?? '', [...command.slice(1), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    options.onError?.(text)
  })
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (...ended) => resolve(ended))
  })
  return {
    code,
    signal,
    out,
    err,
    get json(): Document {
      return JSON.parse(out)
    },
  }
}

const primaryGroup = (name: string): string => String(findAccount(name)?.gid ?? '')
