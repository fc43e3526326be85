import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { beside, runProgram } from './program.ts'

export type Release = 'bookworm' | 'trixie'

/** A Debian system that machines boot from and never write to. */
export type Base = {
  readonly release: Release
  /** The folders it consists of, the uppermost first, as overlayfs wants them. */
  readonly layers: readonly string[]
}

/** The version of PostgreSQL that the release brings. */
export const POSTGRESQL = { bookworm: 15, trixie: 17 } as const satisfies Record<Release, number>

const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'sudo', 'ca-certificates'],
  ...['postgresql', 'nodejs', 'git'],
  ...['python3-django', 'python3-psycopg2', 'python3-yaml'],
  ...['strace', 'curl'],
]
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const CACHE = resolve(process.env['ENDOREG_TEST_CACHE'] ?? '/var/cache/endoreg-test')

/**
 * Makes a bare Debian with PostgreSQL, once for all runs of the tests: it stays in ENDOREG_TEST_CACHE, by
 * default /var/cache/endoreg-test, until the list of packages or the recipe changes. It takes a minute, and
 * needs the mirror that apt on this machine is set up with. An error of apt about a key (NO_PUBKEY) means that
 * this machine's debian-archive-keyring is older than the release.
 *
 * @param install packages to install there as well, as `installPackage` does it
 */
export async function prepareBase(release: Release, install?: Installation): Promise<Base> {
  const recipe = beside('build-base.sh')
  const folder = join(CACHE, `${release}-${digest(PACKAGES.join(), readFileSync(recipe))}`)
  if (!existsSync(folder)) {
    await build([recipe, folder, release, PACKAGES.join(), await sources(release)])
  }
  const base = { release, layers: [folder] }
  return install ? installPackage(base, install) : base
}

/** What is installed over a base: a package file, and packages of the release beside it. */
export type Installation = { readonly deb: string; readonly beside?: readonly string[] }

/**
 * Runs `apt-get install` inside `base`, with nothing started there.
 *
 * @returns the base with the packages; it stays beside the first for a day, as long as they are the same
 */
export async function installPackage(base: Base, { deb, beside: others = [] }: Installation): Promise<Base> {
  const recipe = beside('install-package.sh')
  const [top = ''] = base.layers
  const key = digest(...base.layers, ...others, readFileSync(recipe), readFileSync(deb))
  const folder = join(CACHE, `${basename(top)}+${key}`)
  if (!existsSync(folder)) await build([recipe, folder, base.layers.join(':'), resolve(deb), ...others])
  return { release: base.release, layers: [folder, ...base.layers] }
}

/** Runs a recipe so that its mounts and processes end with it, or with this process. */
async function build(recipe: readonly string[]): Promise<void> {
  const alone = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
  await runProgram(['setpriv', '--pdeathsig', 'KILL', 'unshare', ...alone, 'bash', ...recipe])
}

/** The lines of sources.list for a release, from where apt gets this machine's own packages. */
async function sources(release: Release): Promise<string> {
  const own = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const { out } = await runProgram(['apt-get', 'indextargets', '--format', '$(RELEASE) $(REPO_URI)'])
  const known = new Map(out.split('\n').map(line => [line.split(' ')[0], line.split(' ')[1]]))
  const archive = known.get(own)
  if (!archive) throw new Error(`apt is not set up for this machine's own release, ${own}`)
  const line = (uri: string, suite: string): string => `deb [signed-by=${KEYRING}] ${uri} ${suite} main\n`
  const security = known.get(`${own}-security`)
  return [
    line(archive, release),
    known.has(`${own}-updates`) ? line(archive, `${release}-updates`) : '',
    security ? line(security, `${release}-security`) : '',
  ].join('')
}

const digest = (...parts: readonly (string | Buffer)[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 12)
}
