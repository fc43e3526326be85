import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { filesOf } from '../../lib/server/as-postgres.ts'
import { parseConf } from '../../lib/server/conf.ts'
import type { FileError } from '../../lib/server/files.ts'
import { randomLine } from '../support/conf-random.ts'
import { readSamples, type Sample } from '../support/hba-corpus.ts'
import { Host, needsRoot, runner } from '../support/host.ts'
import { Random } from '../support/random.ts'

type Row = {
  readonly file: string
  readonly line: number
  readonly name: string | null
  readonly value: string
  readonly error: string
}

/** A postgresql.conf in a cluster's folder for it, and what PostgreSQL says that it holds. */
class Corpus {
  readonly folder: string
  readonly path: string
  readonly #own: string
  readonly #client: pg.Client

  private constructor(data: string, folder: string, client: pg.Client) {
    this.path = join(data, 'postgresql.conf')
    this.folder = folder
    this.#own = readFileSync(this.path, 'utf8')
    this.#client = client
  }

  static async create(t: Test): Promise<Corpus> {
    const host = await Host.create(t)
    const client = await host.cluster.connect()
    t.teardown(() => client.end())
    return new Corpus(host.cluster.data, join(host.folder, 'settings'), client)
  }

  /** The files of a sample in place of those before, behind the settings that the server runs with. */
  write({ text, files }: Pick<Sample, 'text' | 'files'>): void {
    rmSync(this.folder, { recursive: true, force: true })
    for (const [path, content] of Object.entries({ ...files, 'main.conf': text })) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true })
      writeFileSync(join(this.folder, path), content)
    }
    writeFileSync(this.path, this.#own)
    appendFileSync(this.path, `include '${this.folder}/main.conf'\n`)
  }

  /** What PostgreSQL reads in its files, anew for every query. */
  async rows(): Promise<readonly Row[]> {
    const query = `SELECT sourcefile AS file, sourceline AS line, name, setting AS value, error
                     FROM pg_file_settings WHERE sourcefile NOT LIKE '%/postgresql.auto.conf' ORDER BY seqno`
    const { rows } = await this.#client.query<Row>(query)
    // PostgreSQL 15 and before leave the dots of ../ in the middle of a path.
    return rows.map(row => ({ ...row, file: normalize(row.file) }))
  }
}

/** Of a file that ends in the middle of a line PostgreSQL names the line before it. */
function placeOf({ file, line }: Row, ours: FileError | undefined) {
  const isLast = ours?.file === file && ours.line === line + 1 && !readFileSync(file, 'utf8').endsWith('\n')
  return { file, line: isLast ? ours.line : line }
}

async function compare(t: Test, corpus: Corpus, name: string): Promise<void> {
  const rows = await corpus.rows()
  const parsed = parseConf(corpus.path, filesOf(runner(), []), 1)
  t.comment(`${name}: ${parsed.lines.length} settings, ${parsed.errors.length} errors`)
  t.strictSame(
    parsed.lines.map(({ file, line, name, value }) => ({ file, line, name, value })),
    rows.filter(row => row.name !== null).map(({ file, line, name, value }) => ({ file, line, name, value })),
    `${name}: settings`,
  )
  t.strictSame(
    parsed.errors,
    rows
      .filter(row => row.name === null)
      .map((row, index) => ({ ...placeOf(row, parsed.errors[index]), message: row.error })),
    `${name}: errors`,
  )
}

/** Each line in a file of its own. */
function apart(lines: readonly string[]): Pick<Sample, 'text' | 'files'> {
  const names = lines.map((_, index) => `${index}`)
  return {
    text: names.map(name => `include '${name}'\n`).join(''),
    files: Object.fromEntries(names.map((name, index) => [name, `${lines[index]}\n`])),
  }
}

t.test('settings are read as PostgreSQL reads them', async t => {
  const corpus = await Corpus.create(t)
  const samples = readSamples('conf-samples.conf')
  for (const sample of samples) {
    const { name, text } = sample
    corpus.write(name.startsWith('lines') ? apart(text.trimEnd().split('\n')) : sample)
    await compare(t, corpus, name)
  }
  t.comment(`${samples.length} files`)
})

t.test('thousands of random lines, too', async t => {
  const corpus = await Corpus.create(t)
  for (let seed = 1; seed <= 10; seed++) {
    const random = new Random(seed)
    corpus.write(apart(random.many(400, 400, () => randomLine(random))))
    await compare(t, corpus, `seed ${seed}`)
  }
})

t.test('files that PostgreSQL may not read, and links that lead nowhere', needsRoot, async t => {
  const corpus = await Corpus.create(t)
  const includes = (...names: readonly string[]): string =>
    names.map(name => `include '${name}'\ninclude_if_exists '${name}'\ninclude_dir '${name}'\n`).join('')
  const files = {
    secret: 'a.a = 1',
    'closed/a.conf': 'a.b = 1',
    'mixed/a.conf': 'a.c = 1',
    'mixed/b.conf': 'a.d = 1',
    'lost/a.conf': 'a.e = 1',
    'linked/a.conf': 'a.f = 1',
  }
  const text = includes('secret', 'closed', 'closed/a.conf', 'mixed', 'lost', 'linked', 'link', 'nowhere')
  corpus.write({ text, files })
  const at = (name: string): string => join(corpus.folder, name)
  chmodSync(at('secret'), 0o600)
  chmodSync(at('closed'), 0o700)
  chmodSync(at('mixed/a.conf'), 0o600)
  symlinkSync('/nowhere', at('lost/b.conf'))
  symlinkSync('/nowhere', at('nowhere'))
  symlinkSync('../secret', at('linked/b.conf'))
  symlinkSync('linked', at('link'))
  await compare(t, corpus, 'files')
})
