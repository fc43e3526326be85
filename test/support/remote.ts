import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import type { Copy } from '../../lib/backup/restic/copies.ts'
import type { Description, Reason } from '../../lib/backup/terms.ts'
import { type Result, type RunOptions, runCommand } from './command.ts'

/** Bundled as the commands are: from its source it would take half a second longer to start. */
const built = mkdtempSync(join(tmpdir(), 'endoreg-driver-'))
const DRIVER = join(built, 'remote-driver.cjs')
process.once('exit', () => rmSync(built, { recursive: true, force: true }))
buildSync({
  entryPoints: [fileURLToPath(new URL('remote-driver.ts', import.meta.url))],
  outfile: DRIVER,
  bundle: true,
  platform: 'node',
  external: ['pg-native'],
  logLevel: 'warning',
})

/** The folder of another restic than this machine's. */
const PATH = [process.env['TEST_RESTIC_BIN'], process.env['PATH']].filter(Boolean).join(delimiter)

const version = spawnSync('restic', ['version'], { env: { PATH }, encoding: 'utf8' }).stdout

/** tap's option for a test that needs restic: why it is skipped, or false. */
export const needsRestic = { skip: version ? false : 'needs restic (Debian: apt install restic)' } as const

/** Whether restic is at least 0.MINOR. */
export const hasMinor = (minor: number): boolean =>
  Number(/^restic 0\.(\d+)/.exec(version ?? '')?.[1]) >= minor

type Teardown = { teardown: (work: () => unknown) => void }

/** The host whose backups are copied. */
export const HOST = 'clinic-1'
export const PASSWORD = 'a password with $(odd) \'characters\' "in" it'

/** A folder with a repository, a folder of backups, and the settings for both. */
export class Storage {
  readonly folder: string
  readonly backups: string
  readonly repository: string
  readonly env: Record<string, string>

  /** @param name of the folder of backups */
  constructor(t: Teardown, name = 'backups') {
    this.folder = mkdtempSync(join(tmpdir(), 'endoreg-restic-'))
    this.backups = join(this.folder, name)
    this.repository = join(this.folder, 'repository')
    mkdirSync(this.backups, { mode: 0o700 })
    const passwordFile = join(this.folder, 'password')
    writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o400 })
    this.env = {
      PATH,
      ENDOREG_ENV_FILE: '/dev/null',
      ENDOREG_BACKUP_DIR: this.backups,
      RESTIC_REPOSITORY: this.repository,
      RESTIC_PASSWORD_FILE: passwordFile,
      CACHE_DIRECTORY: join(this.folder, 'cache'),
    }
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  /** A storage with an empty repository. */
  static async create(t: Teardown, name?: string): Promise<Storage> {
    const storage = new Storage(t, name)
    const { code, err } = await storage.do('init')
    if (code !== 0) throw new Error(err)
    return storage
  }

  /** Does one piece of work on the repository. */
  do(work: string, value = '', options: RunOptions & { host?: string } = {}): Promise<Result> {
    const { host = HOST, env, ...rest } = options
    const args = ['--json', `--work=${work}`, `--host=${host}`, ...(value ? [`--value=${value}`] : [])]
    return runCommand(process.execPath, [DRIVER, ...args], {
      ...rest,
      env: { ...this.env, ...env },
    })
  }

  /** The command line of `do`, for whoever starts it in another way. */
  command(work: string): readonly string[] {
    return [process.execPath, DRIVER, '--json', `--work=${work}`, `--host=${HOST}`]
  }

  /** What `list` finds. */
  async copies(options: RunOptions & { host?: string } = {}): Promise<readonly Copy[]> {
    const { code, err } = await this.do('list', '', options)
    if (code !== 0) throw new Error(err)
    return JSON.parse(err.slice(err.indexOf('[')))
  }

  async names(): Promise<readonly string[]> {
    return (await this.copies()).map(({ name }) => name)
  }

  /** restic as somebody types it. */
  restic(...args: readonly string[]): string {
    return execFileSync('restic', args, {
      env: { ...this.env, HOME: this.folder },
      cwd: this.folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** Puts a complete backup of random bytes, or of `files`, into the folder of backups. */
  makeBackup(
    name: string,
    content: number | Readonly<Record<string, Buffer>>,
    reason: Reason = 'regular',
    host = HOST,
  ): string {
    const path = join(this.backups, name)
    mkdirSync(path, { mode: 0o700 })
    const files = typeof content === 'number' ? { 'odd%20name%2F.dump': randomBytes(content) } : content
    for (const [file, bytes] of Object.entries(files)) writeFileSync(join(path, file), bytes, { mode: 0o600 })
    const started = name.replace(/T(\d\d)-(\d\d)-(\d\d)Z.*/, 'T$1:$2:$3.456Z')
    const description: Description = {
      format: 1,
      name,
      host,
      reason,
      started,
      finished: started,
      madeBy: 'a test',
      server: { version: '15.0', major: 15, identifier: '1' },
      roles: [],
      tablespaces: [],
      databases: [],
      files: Object.entries(files).map(([file, bytes]) => ({
        name: file,
        size: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      })),
    }
    writeFileSync(join(path, 'manifest.json'), JSON.stringify(description), { mode: 0o600 })
    return path
  }

  /** The locks in the repository, also those that nobody holds any more. */
  locks(): readonly string[] {
    return readdirSync(join(this.repository, 'locks')).filter(name => /^[0-9a-f]{64}$/.test(name))
  }

  /** The packs in the repository, by their paths. */
  packs(): readonly string[] {
    const data = join(this.repository, 'data')
    return readdirSync(data).flatMap(part =>
      readdirSync(join(data, part)).map(pack => join(data, part, pack)),
    )
  }
}

/** Whether two folders hold the same files, byte for byte. */
export function sameFolders(one: string, other: string): boolean {
  const names = readdirSync(one).sort()
  if (names.join('/') !== readdirSync(other).sort().join('/')) return false
  return names.every(name => readFileSync(join(one, name)).equals(readFileSync(join(other, name))))
}
