import { execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { writeAccounts } from './accounts.ts'
import { initialise } from './cluster.ts'
import { isRoot } from './command.ts'
import { fullPostgres, needsPrograms } from './full-postgres.ts'
import { runner } from './host.ts'
import { copyInstallation } from './installation.ts'
import { CHECKOUT } from './pool.ts'
import { endStrays } from './strays.ts'

/** Where a file system in memory is made, in a mount namespace of our own: the first one that hides nothing we need. */
const PLACES = ['/dev/shm', '/mnt', '/srv', '/media']
/** Bytes that a folder in memory may grow to; measured: 0.7 GB. */
const ROOM = 2 ** 31
/** Keeps its process alive as the first of the namespace, and takes in what others leave. */
const FIRST = '"$@"; exit $?'

/**
 * The machine that tests run on. As root it is made of namespaces, of shared memory too: a temporary folder in memory, the accounts of a clinic's host,
 * both loopbacks for localhost; whatever happens, it is all gone when the first process in it ends. As another account
 * it is this machine, with a temporary folder of its own.
 */
export class TestMachine {
  /** What is in it names this folder, or works there. */
  readonly folder: string
  readonly #mount: string | undefined

  constructor() {
    const place = isRoot && freemem() > 2 * ROOM ? PLACES.find(hidesNothing) : undefined
    this.#mount = place
    this.folder = place
      ? join(place, `endoreg-${randomBytes(3).toString('hex')}`)
      : mkdtempSync(join(parent(), 'endoreg-'))
  }

  /** Starts a program in it. */
  start([program, args]: readonly [program: string, args: readonly string[]], stdio: StdioOptions) {
    const env = { ...process.env, TEST_FOLDER: this.folder, TEST_MOUNT: this.#mount ?? '' }
    if (!isRoot) return spawn(program, args, { env, stdio })
    const namespaces = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
    ]
    const first = ['sh', '-c', FIRST, 'sh', program, ...args]
    return spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...namespaces, ...first], { env, stdio })
  }

  /** Ends all that runs in it, and removes it. */
  async remove(): Promise<void> {
    await endStrays(this.folder, 0)
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Whether nothing that the tests need is below `place`. */
function hidesNothing(place: string): boolean {
  const paths = [
    CHECKOUT,
    process.execPath,
    process.env['TEST_POSTGRES_NATIVE'],
    process.env['TEST_NODE_BIN'],
  ]
  const needed = [...paths, ...(process.env['PATH'] ?? '').split(delimiter)]
  return existsSync(place) && !needed.some(path => path?.startsWith(`${place}/`))
}

/** Where an account other than root makes its folder: where it says; else in memory, if there is room and programs may run. */
function parent(): string {
  const [memory = ''] = PLACES
  if (process.env['TMPDIR'] || isRoot || !existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > ROOM && freemem() > 2 * ROOM && runsPrograms(memory) ? memory : tmpdir()
}

function runsPrograms(folder: string): boolean {
  try {
    const made = mkdtempSync(join(folder, 'endoreg-'))
    try {
      writeFileSync(join(made, 'true'), '#!/bin/sh\n', { mode: 0o700 })
      execFileSync(join(made, 'true'))
      return true
    } finally {
      rmSync(made, { recursive: true })
    }
  } catch {
    return false
  }
}

/**
 * In the machine: makes it what it is said to be, and one PostgreSQL for all, with a data folder to copy.
 *
 * @returns the folder for the tests
 */
export function furnish(postgres: boolean): string {
  const { TEST_FOLDER: folder = '', TEST_MOUNT: place } = process.env
  if (place) mount('-t', 'tmpfs', '-o', 'mode=1777', 'endoreg', place)
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, 0o755)
  if (isRoot) {
    // The whole folder: a mount on a file goes when somebody on the machine outside replaces that file.
    const etc = join(folder, 'etc')
    execFileSync('cp', ['-a', '/etc', etc])
    writeAccounts(etc)
    mount('--bind', etc, '/etc')
    // Other accounts run the commands too, and the checkout may be in a folder that only root enters.
    const checkout = join(folder, 'checkout')
    mkdirSync(checkout)
    mount('--bind', CHECKOUT, checkout)
    mount('-o', 'remount,bind,ro', checkout)
    process.env['TEST_CHECKOUT'] = checkout
  }
  if (postgres) furnishPostgres(folder)
  const tests = join(folder, 't')
  mkdirSync(tests)
  return tests
}

function furnishPostgres(folder: string): void {
  const { uid, gid } = runner()
  const templates = join(folder, 'templates')
  mkdirSync(templates)
  execFileSync('chown', [`${uid}:${gid}`, templates])
  const bin = copyInstallation(join(folder, 'postgresql'), process.env['TEST_POSTGRES_NATIVE'])
  const make = (programs: string, name: string): string => {
    initialise(programs, join(templates, name), runner())
    return join(templates, name)
  }
  process.env['TEST_POSTGRES_BIN'] = bin
  process.env['TEST_POSTGRES_TEMPLATE'] = make(bin, 'embedded')
  if (needsPrograms.skip === false) process.env['TEST_DEBIAN_TEMPLATE'] = make(fullPostgres.bin, 'debian')
}

const mount = (...args: readonly string[]): void => void execFileSync('mount', args, { stdio: 'inherit' })
