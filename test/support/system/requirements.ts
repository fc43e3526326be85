import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The programs that the system tests call, and the Debian package of each. */
const PROGRAMS = {
  'systemd-nspawn': 'systemd-container',
  mmdebstrap: 'mmdebstrap',
  'apt-get': 'apt',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
} as const

const HIERARCHIES = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified', '/sys/fs/cgroup']

/**
 * What this machine lacks to boot machines of the tests, in words for the reason of a skip.
 *
 * @returns undefined where nothing is missing
 */
export function missing(): string | undefined {
  const lacks: string[] = []
  if (process.getuid?.() !== 0) lacks.push('root')
  if (!/^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'))) {
    lacks.push('Debian, whose apt knows a mirror')
  }
  for (const [program, from] of Object.entries(PROGRAMS)) {
    if (!onPath(program)) lacks.push(`${program} (Debian's package ${from})`)
  }
  if (lacks.length > 0) return `the system tests need ${lacks.join(', ')}`
  // In many containers root may not mount.
  if (spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/run']).status !== 0) {
    return 'the system tests need the right to mount'
  }
  const group = HIERARCHIES.some(folder => allowed(join(folder, 'cgroup.procs'), constants.W_OK))
  return group ? undefined : 'the system tests need a writable control group'
}

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some(folder => allowed(join(folder, program), constants.X_OK))

function allowed(path: string, mode: number): boolean {
  if (!existsSync(path)) return false
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
