import { spawnSync } from 'node:child_process'

/** Leaves a socket at `path`, at which nobody listens. */
export function makeSocket(path: string): void {
  // Killed, it takes nothing away.
  const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 9))`
  spawnSync(process.execPath, ['-e', script, path], { stdio: 'ignore' })
}
