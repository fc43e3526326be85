import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { filesOf } from '../../lib/server/as-postgres.ts'
import { readFileSettings } from '../../lib/server/conf.ts'
import { randomLine } from '../support/conf-random.ts'
import { readSamples, type Sample } from '../support/hba-corpus.ts'
import { Host, runner } from '../support/host.ts'
import { Random } from '../support/random.ts'

type Row = {
  readonly file: string
  readonly line: number
  /** Null for what is no setting. */
  readonly name: string | null
  readonly value: string
}

/** A postgresql.conf in a cluster's folder for it, and what PostgreSQL says that it holds. */
class Corpus {
  readonly folder: string
  readonly path: string
  readonly data: string
  readonly #own: string
  readonly #client: pg.Client

  private constructor(data: string, folder: string, client: pg.Client) {
    this.data = data
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
    const query = `SELECT sourcefile AS file, sourceline AS line, name, setting AS value
                     FROM pg_file_settings ORDER BY seqno`
    const { rows } = await this.#client.query<Row>(query)
    // PostgreSQL 15 and before leave the dots of ../ in the middle of a path.
    return rows.map(row => ({ ...row, file: normalize(row.file) }))
  }
}

/** The settings are the same, and of a file with an error the reader says that it has not read all. */
async function compare(t: Test, corpus: Corpus, name: string): Promise<void> {
  const rows = await corpus.rows()
  const { lines, unread } = readFileSettings(corpus.path, corpus.data, filesOf(runner(), []))
  t.comment(`${name}: ${lines.length} settings, ${unread.length} lines not read`)
  t.strictSame(
    lines.map(({ file, line, name, value }) => ({ file, line, name, value })),
    rows.filter(row => row.name !== null).map(({ file, line, name, value }) => ({ file, line, name, value })),
    `${name}: settings`,
  )
  t.strictSame(
    unread.map(text => text.replace(/:.*/, '')),
    rows.filter(row => row.name === null).map(({ file }) => file),
    `${name}: what is not read`,
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
