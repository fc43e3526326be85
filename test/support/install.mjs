// Makes a fresh clone ready, and then runs the script of the checkout that is named, in this very process, so that a
// signal meets whoever has to clean up. Needs nothing but Node.js and npm.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const modified = path => (existsSync(path) ? statSync(path).mtimeMs : 0)
const newest = folder =>
  Math.max(
    ...readdirSync(join(root, folder), { recursive: true }).map(name => modified(join(root, folder, name))),
  )
const npm = (...args) => execFileSync('npm', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })

// Code that is kept in the temporary folder is of whoever made the folder for it first: tsx's, and that which Node.js keeps
// for npm (from 22.1). Every process that is started from here has these as well.
process.env.TSX_DISABLE_CACHE = '1'
process.env.NODE_DISABLE_COMPILE_CACHE = '1'

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

const [script] = process.argv.splice(2, 1)
if (script !== undefined) {
  const { register } = await import('tsx/esm/api')
  register()
  await import(pathToFileURL(join(root, script)).href)
}
