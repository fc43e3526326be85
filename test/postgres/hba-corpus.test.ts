import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { parseAddress } from '../../lib/server/access/address.ts'
import { parseIdent } from '../../lib/server/access/ident.ts'
import { parseHba } from '../../lib/server/access/parse.ts'
import type { FileError, HbaRule, IdentLine, Place } from '../../lib/server/access/terms.ts'
import { readSamples, type Sample } from '../support/hba-corpus.ts'
import { randomRules } from '../support/hba-random.ts'
import { Host } from '../support/host.ts'
import { HOST_FILES } from '../support/host-files.ts'
import { Random } from '../support/random.ts'

type Row = Readonly<Record<string, unknown>>

/** A file in a cluster's folder for it, and what PostgreSQL says that it holds. */
class Corpus {
  readonly major: number
  readonly folder: string
  readonly #client: pg.Client

  private constructor(major: number, folder: string, client: pg.Client) {
    this.major = major
    this.folder = folder
    this.#client = client
  }

  static async create(t: Test): Promise<Corpus> {
    const host = await Host.create(t, { start: false })
    const folder = join(host.folder, 'rules')
    mkdirSync(folder)
    for (const name of ['pg_hba.conf', 'pg_ident.conf']) {
      writeFileSync(join(folder, name), readFileSync(join(host.cluster.data, name)))
    }
    host.cluster.configure({
      hba_file: `'${join(folder, 'pg_hba.conf')}'`,
      ident_file: `'${join(folder, 'pg_ident.conf')}'`,
    })
    await host.cluster.start()
    const client = await host.cluster.connect()
    t.teardown(() => client.end())
    const { rows } = await client.query<{ major: number }>(
      "SELECT current_setting('server_version_num')::int / 10000 AS major",
    )
    const major = rows[0]?.major ?? 0
    if (major >= 18) {
      host.cluster.configure({ oauth_validator_libraries: "'test_validator'" })
      await host.cluster.reload()
    }
    return new Corpus(major, folder, client)
  }

  /** The files of a sample in place of those before, the first under `name`. */
  write(name: string, { text, files }: Sample): string {
    for (const old of readdirSync(this.folder)) rmSync(join(this.folder, old), { recursive: true })
    for (const [path, content] of Object.entries({ ...files, [name]: text })) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true })
      writeFileSync(join(this.folder, path), content)
    }
    return join(this.folder, name)
  }

  /** What a view shows of the file, which PostgreSQL reads anew for every query. */
  async rows(view: string): Promise<readonly Row[]> {
    return (await this.#client.query<Row>(`SELECT * FROM ${view}`)).rows
  }
}

/** A row where PostgreSQL took the line, and one where it did not. It may take one and say why it never counts. */
const isTaken = (row: Row): boolean => (row['type'] ?? row['map_name'] ?? null) !== null

const errorOf = ({ file, line, message }: FileError) => ({ file, line, message })

function errorRow(row: Row, path: string, ours: readonly FileError[]) {
  const place = placeOf(row, path)
  // The view does not show every reason that the log has; for those it has none, or one that stops nothing.
  const said =
    row['error'] === null || /^hostssl record cannot/.test(String(row['error'])) ? undefined : row['error']
  return { ...place, message: said ?? ours.find(error => isAt(error, place))?.message }
}

const placeOf = (row: Row, path: string): Place => ({
  file: String(row['file_name'] ?? path),
  line: Number(row['line_number']),
})

const isAt = (one: Place, other: Place): boolean => one.file === other.file && one.line === other.line

/** Where this build of PostgreSQL lacks what a method needs. */
const isMissing = (row: Row): boolean =>
  /^invalid authentication method "(?:gss|pam|ldap)": not supported/.test(String(row['error']))

function ruleOf(rule: HbaRule) {
  const { file, line, type, databases, roles, address, method } = rule
  const range = address?.kind === 'range' ? address : undefined
  const text = address?.kind === 'name' ? address.name : address?.kind
  return {
    ...{ file, line, type, method },
    databases: databases.map(token => token.text),
    roles: roles.map(token => token.text),
    address: range ? range.address : (text ?? null),
    mask: range ? range.mask : null,
    options: shownOptions(rule),
  }
}

const isUrl = ([name]: HbaRule['options'][number]): boolean => name === 'ldapurl'

function ruleRow(row: Row, path: string, rule: HbaRule | undefined) {
  const { type, auth_method: method, database: databases, user_name: roles, address, netmask } = row
  return {
    ...{ ...placeOf(row, path), type, method, databases, roles },
    address: netmask === null ? address : parseAddress(String(address)),
    mask: netmask === null ? null : parseAddress(String(netmask)),
    // What an option gives as a URL the view shows as many.
    options: rule?.options.some(isUrl) ? shownOptions(rule) : row['options'],
  }
}

/** The options of a rule as the view has them: not all, in an order of its own, with what others imply. */
function shownOptions({ method, options }: HbaRule): readonly string[] | null {
  const set = new Map(options)
  const shown = (...names: readonly string[]) =>
    names.flatMap(name => (set.has(name) ? [`${name}=${set.get(name)}`] : []))
  const flag = (name: string, otherwise: boolean) =>
    (set.get(name) ?? (otherwise ? '1' : '0')) === '1' ? [`${name}=true`] : []
  // A number as atoi(3) reads it.
  if (set.has('ldapport')) set.set('ldapport', String(Number(set.get('ldapport'))))
  if (method === 'oauth' && !set.has('validator')) set.set('validator', 'test_validator')
  if (method === 'cert') set.set('clientcert', 'verify-full')
  const found = [
    ...(method === 'gss' ? [...flag('include_realm', true), ...shown('krb_realm')] : []),
    ...shown('map', 'clientcert', 'pamservice'),
    ...shown('ldapserver', 'ldapport', 'ldapscheme'),
    ...(method === 'ldap' ? flag('ldaptls', false) : []),
    ...shown('ldapprefix', 'ldapsuffix', 'ldapbasedn', 'ldapbinddn', 'ldapbindpasswd'),
    ...shown('ldapsearchattribute', 'ldapsearchfilter'),
    ...(method === 'ldap' ? ['ldapscope=2'] : []),
    ...shown('radiusservers', 'radiussecrets', 'radiusidentifiers', 'radiusports'),
    ...shown('issuer', 'scope', 'validator'),
    ...(method === 'oauth' ? flag('delegate_ident_mapping', false) : []),
  ]
  return found.length > 0 ? found : null
}

function compareRules(t: Test, corpus: Corpus, sample: Sample, rows: readonly Row[], path: string): void {
  const parsed = parseHba(path, HOST_FILES, corpus.major)
  const lacks = rows.filter(isMissing).map(row => placeOf(row, path))
  const isHere = (place: Place): boolean => !lacks.some(other => isAt(place, other))
  const shown = rows.filter(row => !isMissing(row))
  const rules = parsed.lines.filter(isHere)
  t.strictSame(
    rules.map(ruleOf),
    shown.filter(isTaken).map((row, index) => ruleRow(row, path, rules[index])),
    `${sample.name}: rules`,
  )
  const refused = shown.filter(row => !isTaken(row)).map(row => errorRow(row, path, parsed.errors))
  const ours = parsed.errors.filter(isHere).map(errorOf)
  if (rows.length === 0) {
    // The view has no row for this, but PostgreSQL loads no such file.
    t.match(ours, [{ file: path, line: 1, message: /contains no entries$/ }], `${sample.name}: nothing`)
  } else t.strictSame(ours, refused, `${sample.name}: errors`)
}

t.test('access rules are read as PostgreSQL reads them', async t => {
  const corpus = await Corpus.create(t)
  const samples = [
    ...readSamples('hba-samples.conf'),
    ...(corpus.major >= 16 ? readSamples('hba-loops.conf') : []),
  ]
  for (const sample of samples) {
    const path = corpus.write('pg_hba.conf', sample)
    compareRules(t, corpus, sample, await corpus.rows('pg_hba_file_rules'), path)
  }
  t.comment(`${samples.length} files`)
})

t.test('thousands of random lines, too', async t => {
  const corpus = await Corpus.create(t)
  for (let seed = 1; seed <= 10; seed++) {
    const sample = { name: `seed ${seed}`, text: randomRules(new Random(seed), 500), files: {} }
    const path = corpus.write('pg_hba.conf', sample)
    compareRules(t, corpus, sample, await corpus.rows('pg_hba_file_rules'), path)
  }
})

t.test('identity maps are read as PostgreSQL reads them', async t => {
  const corpus = await Corpus.create(t)
  if (corpus.major < 15) return t.comment('this PostgreSQL does not show what it reads')
  const lineOf = ({ file, line, map, account, role }: IdentLine) => [file, line, map, account.text, role.text]
  for (const sample of readSamples('ident-samples.conf')) {
    const path = corpus.write('pg_ident.conf', sample)
    const rows = await corpus.rows('pg_ident_file_mappings')
    const parsed = parseIdent(path, HOST_FILES, corpus.major)
    t.strictSame(
      parsed.lines.map(lineOf),
      rows
        .filter(isTaken)
        .map(row => [
          ...Object.values(placeOf(row, path)),
          row['map_name'],
          row['sys_name'],
          row['pg_username'],
        ]),
      `${sample.name}: lines`,
    )
    t.strictSame(
      parsed.errors.map(errorOf),
      rows.filter(row => !isTaken(row)).map(row => errorRow(row, path, parsed.errors)),
      `${sample.name}: errors`,
    )
  }
})
