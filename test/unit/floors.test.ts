import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The floors of the house from below; a folder imports from those below its own floor, and from itself. */
const FLOORS = [
  ['frame'],
  ['host'],
  ['server'],
  ['provision', 'backup', 'show'],
  ['reset'],
  ['doctor'],
  ['bin'],
] as const

/** What still runs back up, `importer imported`; the list only ever gets shorter. */
const EXCEPTIONS: readonly string[] = []

const sources = ['bin', 'lib'].flatMap(folder =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${folder}/${name}`),
)

/** The sources that a source names, types and what is loaded later included. */
const imports = new Map(
  sources.map(path => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    const named = text.matchAll(/(?:\bfrom|\bimport) ?\(?'(\.[^']+\.ts)'/g)
    return [path, [...named].map(([, name = '']) => normalize(join(dirname(path), name)))] as const
  }),
)

/** The folder that a source belongs to; what stands in lib itself is started like a command. */
function folderOf(path: string): string {
  const [top = '', folder = ''] = path.split('/')
  return top === 'bin' || folder.endsWith('.ts') ? 'bin' : folder
}

const floorOf = (folder: string): number => FLOORS.findIndex(floor => floor.some(name => name === folder))

t.test('a folder imports only from floors below its own', async t => {
  const wrong: string[] = []
  for (const [path, named] of imports) {
    const own = folderOf(path)
    t.not(floorOf(own), -1, `${path} stands in a folder of the house`)
    for (const name of named)
      if (folderOf(name) !== own && floorOf(folderOf(name)) >= floorOf(own)) wrong.push(`${path} ${name}`)
  }
  t.same(wrong.sort(), [...EXCEPTIONS].sort())
})

t.test('no circle', async t => {
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, road: readonly string[]): void => {
    if (road.includes(path)) circles.push([...road.slice(road.indexOf(path)), path].join(' > '))
    if (done.has(path) || road.includes(path)) return
    for (const name of imports.get(path) ?? []) visit(name, [...road, path])
    done.add(path)
  }
  for (const path of sources) visit(path, [])
  t.same(circles, [])
})

t.test('every source is there for a command', async t => {
  const reached = new Set<string>()
  const visit = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    for (const name of imports.get(path) ?? []) visit(name)
  }
  for (const path of sources) if (folderOf(path) === 'bin') visit(path)
  t.same(
    sources.filter(path => !reached.has(path)),
    [],
  )
})
