// Makes a fresh clone ready: packages as the lock file says, and the built commands. Needs nothing but Node.js and npm.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const modified = path => (existsSync(path) ? statSync(path).mtimeMs : 0)
const newest = folder =>
  Math.max(
    ...readdirSync(join(root, folder), { recursive: true }).map(name => modified(join(root, folder, name))),
  )
const npm = (...args) => execFileSync('npm', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })

// npm writes this file last, so it is missing after an installation that was interrupted.
const installed = modified(join(root, 'node_modules/.package-lock.json'))
if (installed < modified(join(root, 'package-lock.json'))) {
  console.error('installing the packages (npm ci) ...')
  npm('ci', '--no-audit', '--no-fund', '--loglevel=error')
}
const built = modified(join(root, 'dist/bin/sync-password.cjs.cache'))
if (built < Math.max(newest('bin'), newest('lib'), modified(join(root, 'units/manifest.json')))) {
  npm('run', '--silent', 'build')
}
