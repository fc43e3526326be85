import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where files and folders of the host are opened, made, given away, renamed, removed and synchronised. */
const DOORS = [
  'lib/host/configuration-file.ts',
  'lib/host/file.ts',
  'lib/host/folder.ts',
  'lib/host/ownership.ts',
]

/** What only looks, so that everyone may. */
const LOOKS = new Set([
  ...['accessSync', 'constants', 'existsSync', 'fstatSync', 'lstatSync', 'readdirSync', 'readFileSync'],
  ...['readlinkSync', 'readSync', 'realpathSync', 'statfsSync', 'statSync', 'Stats'],
])

/** What else is taken from node:fs, and what for. */
const OTHERS = [
  // What pg_dump has filled is synchronised and closed when it has ended, and backups are read piece by piece.
  'lib/backup/dump.ts closeSync fsyncSync',
  'lib/backup/folder.ts closeSync read',
  // Standard output and standard error.
  'lib/frame/output.ts writeSync',
  'lib/frame/status.ts writeSync',
  // Descriptors that this process was started with; and the lock, which is held as long as its handle is open.
  'lib/host/apart.ts closeSync',
  'lib/host/lock.ts closeSync',
  // A link and folders.
  'lib/reset/folders.ts symlinkSync',
  'lib/reset/make.ts lchownSync rmdirSync',
  // What the build stores beside itself.
  'lib/start.ts closeSync fsyncSync openSync renameSync writeSync',
]

/** The names that a source imports from node:fs; of an import of all of it, the star. */
const namesIn = (text: string): string[] =>
  [...text.matchAll(/import ([^;']*?) from 'node:fs'/g)]
    .flatMap(([, names = '']) => names.replace(/[{}]/g, '').split(','))
    .flatMap(name => name.trim().replace('type ', '').split(' ')[0] || [])

t.test('every job is known to the child that does it', async t => {
  const declaring = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.ts') && / = job\(/.test(readFileSync(join(ROOT, 'lib', name), 'utf8')),
  )
  const child = readFileSync(join(ROOT, 'lib/as-account.ts'), 'utf8')
  const loaded = [...child.matchAll(/^import '\.\/(.*)'$/gm)].map(([, name]) => name)
  t.same(loaded.sort(), declaring.sort())
})

t.test('one place opens and changes files of the host', t => {
  const taken: string[] = []
  const around: string[] = []
  for (const folder of ['bin', 'lib']) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      const path = `${folder}/${name}`
      if (!path.endsWith('.ts') || DOORS.includes(path)) continue
      const text = readFileSync(join(ROOT, path), 'utf8')
      const others = new Set(namesIn(text).filter(its => !LOOKS.has(its)))
      if (others.size > 0) taken.push([path, ...others].join(' '))
      if (/['"](?:fs|(?:node:)?fs\/promises)['"]|\(['"]node:fs['"]\)/.test(text)) around.push(path)
    }
  }
  t.same(taken.sort(), OTHERS)
  t.same(around, [], 'and nobody comes to node:fs in another way')
  t.end()
})
