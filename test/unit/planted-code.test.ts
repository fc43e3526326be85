import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import t from 'tap'
import pkg from '../../package.json' with { type: 'json' }
import { CHECKOUT, nodeWith } from '../support/pool.ts'
import { scratch } from '../support/scratch.ts'

/** Starts a program where `folder` is the one for temporary files; and nothing has been said about caches. */
function run(folder: string, [program, args]: readonly [program: string, args: readonly string[]]): string {
  const { TSX_DISABLE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...env } = process.env
  const { stdout, stderr } = spawnSync(program, args, {
    cwd: CHECKOUT,
    env: { ...env, TMPDIR: folder },
    encoding: 'utf8',
  })
  return stdout + stderr
}

/** The cache that tsx makes in a temporary folder. */
const caches = (folder: string): string[] =>
  readdirSync(folder).flatMap(name => (name.startsWith('tsx') ? [join(folder, name)] : []))

/** A script of ours that imports another, each in TypeScript, and says which caches it and its children may use. */
const SCRIPT = `import { spawnSync } from 'node:child_process'
import { said } from './said.ts'
const names: string[] = ['TSX_DISABLE_CACHE', 'NODE_DISABLE_COMPILE_CACHE']
console.log(said, names.map(name => process.env[name]).join(), spawnSync('env').stdout.includes('TSX_DISABLE_CACHE=1'))
`

t.test('npm run demo, test and bench run no code that another account has put into a cache', async t => {
  const top = scratch(t)
  const scripts = join(top, 'scripts')
  mkdirSync(scripts)
  writeFileSync(join(scripts, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(scripts, 'said.ts'), `export const said: string = 'ours'\n`)
  const script = join(scripts, 'script.ts')
  writeFileSync(script, SCRIPT)
  const folder = join(top, 'tmp')
  mkdirSync(folder)

  t.match(run(folder, nodeWith(script)), /^ours/)
  const [cache = ''] = caches(folder)
  t.not(cache, '', 'tsx keeps a cache: else nothing of this could be noticed')
  // Another account has made the folder first, and left what is in it.
  for (const name of readdirSync(cache)) {
    const text = readFileSync(join(cache, name), 'utf8')
    writeFileSync(join(cache, name), text.replaceAll('ours', 'planted'))
  }
  t.match(run(folder, nodeWith(script)), /^planted/, 'tsx by itself runs it')
  const install = [join(CHECKOUT, 'test/support/install.mjs'), relative(CHECKOUT, script)]
  t.equal(run(folder, [process.execPath, install]), 'ours 1,1 true\n')

  const none = join(top, 'none')
  mkdirSync(none)
  run(none, [process.execPath, install])
  t.same(readdirSync(none), [], 'and leaves none')
})

t.test('whatever runs TypeScript comes through there', async t => {
  const scripts = Object.entries(pkg.scripts).filter(([, command]) => /\bnode\b[^&]*\.ts\b/.test(command))
  t.ok(scripts.length >= 6, scripts.map(([name]) => name).join())
  for (const [name, command] of scripts) t.match(command, /^node test\/support\/install\.mjs /, name)
  const launch = readFileSync(join(CHECKOUT, 'lib/launch.sh'), 'utf8')
  t.match(launch, /\nexport TSX_DISABLE_CACHE=1\nstart --import "\$root\/node_modules\/tsx\//)
})
