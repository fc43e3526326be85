import { chmodSync, chownSync, existsSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'

const root = process.getuid?.() === 0
const DEFAULT_FILE = '/etc/endoreg/provision.env'

const write = (t: Test, content: string): string => join(t.testdir({ 'x.env': content }), 'x.env')

t.test('a missing file that was asked for', async t => {
  const missing = join(t.testdir(), 'none.env')
  const expected = { code: 78, message: `read the settings file ${missing}`, reason: 'there is no such file' }
  t.throws(() => loadSettings({}, missing), expected, 'on the command line')
  t.throws(() => loadSettings({ ENDOREG_ENV_FILE: missing }, undefined), expected, 'in the environment')
})

t.test(
  'the default file may be missing',
  { skip: existsSync(DEFAULT_FILE) ? `this machine has ${DEFAULT_FILE}` : false },
  async t => {
    t.equal(loadSettings({}, undefined).dbUser, 'endoregDbLocal')
    t.equal(loadSettings({ ENDOREG_ENV_FILE: '' }, undefined).dbUser, 'endoregDbLocal')
  },
)

t.test('the command line names the file before ENDOREG_ENV_FILE does', async t => {
  const file = write(t, 'ENDOREG_DB_USER=chosen\n')
  t.equal(loadSettings({ ENDOREG_ENV_FILE: file }, undefined).dbUser, 'chosen')
  t.equal(loadSettings({ ENDOREG_ENV_FILE: '/none.env' }, file).dbUser, 'chosen')
})

t.test('a folder is no settings file', async t => {
  t.throws(() => loadSettings({}, t.testdir()), { code: 78, reason: 'it is not a regular file' })
})

t.test('a line without = is a problem like any other', async t => {
  const file = write(t, '# words\nENDOREG_DB_USER\n\nexport PGHOST /tmp\nHELLO\nPGPORT=0\n')
  const error = t.throws(() => loadSettings({}, file), { code: 78, message: /: 4 problems$/ })
  t.match(error, { reason: `${file}, line 5 is no setting (NAME=VALUE)` })
  t.match(error, { reason: `ENDOREG_DB_USER (${file}, line 2) has no = behind it` })
  t.match(error, { reason: `PGHOST (${file}, line 4) has no = behind it` })
  t.match(error, { reason: `PGPORT (${file}) must be a port` })
})

t.test('a key without = counts though it is set elsewhere, a line of a quoted value does not', async t => {
  const twice = write(t, 'PGPORT\nPGPORT=5433\n')
  t.throws(() => loadSettings({}, twice), {
    code: 78,
    reason: `PGPORT (${twice}, line 1) has no = behind it`,
  })
  const quoted = write(t, "OTHER='words\nPGPORT\nENDOREG_DB_USER'\nPGHOST: /tmp\n")
  t.equal(loadSettings({}, quoted).host, '/tmp')
})

t.test('a file that cannot be read is told together with the other problems', async t => {
  const error = t.throws(() => loadSettings({ PGPORT: '0' }, '/none.env'), { message: /: 2 problems$/ })
  t.match(error, { code: 78, reason: 'the settings file /none.env: there is no such file; PGPORT' })
})

t.test('a file that is not UTF-8', async t => {
  const file = join(t.testdir(), 'x.env')
  writeFileSync(file, Buffer.from('ENDOREG_DB_USER=\xe4\n', 'latin1'))
  t.throws(() => loadSettings({}, file), { code: 78, reason: 'it is not valid UTF-8' })
})

t.test('an empty variable of libpq in the environment does not hide the file', async t => {
  t.equal(loadSettings({ PGPORT: '' }, write(t, 'PGPORT=5433\n')).port, 5433)
  const file = write(t, 'ENDOREG_API_REPOSITORY=x\n')
  t.equal(loadSettings({ ENDOREG_API_REPOSITORY: '' }, file).apiRepository, undefined)
})

t.test('an empty value in the file', async t => {
  t.throws(() => loadSettings({}, write(t, 'ENDOREG_DB_USER=\n')), {
    code: 78,
    reason: /^ENDOREG_DB_USER \(.*x\.env\) is empty/,
  })
  // libpq takes an empty variable for none, and reads no file.
  t.throws(() => loadSettings({}, write(t, 'PGPORT=\n')), {
    code: 78,
    reason: /^PGPORT \(.*x\.env\) is empty/,
  })
  t.equal(loadSettings({ PGPORT: '5433' }, write(t, 'PGPORT=\n')).port, 5433)
})

/** What somebody may have typed, and what is said of it. */
const MISTAKES: readonly [content: string, says: RegExp][] = [
  ['endoreg_db_name=x\n', /^endoreg_db_name \(.*\) is not a setting; did you mean ENDOREG_DB_NAME\?$/],
  ['ENDOREG-DB-NAME=x\n', /^ENDOREG-DB-NAME \(.*\) is not a setting; did you mean ENDOREG_DB_NAME\?$/],
  ['Endoreg.Db.Nmae=x\n', /did you mean ENDOREG_DB_NAME\?$/],
  ['ENDOREGDBNAME=x\n', /did you mean ENDOREG_DB_NAME\?$/],
  ['PG_PORT=5433\n', /^PG_PORT \(.*\) is not a setting; did you mean PGPORT\?$/],
  ['pghost=/tmp\n', /^pghost \(.*\) is not a setting; did you mean PGHOST\?$/],
  ['PGPROT=5433\n', /did you mean PGPORT\?$/],
  ['PGPOT=5433\n', /did you mean PGPORT\?$/],
  ['PGDATABAES=x\n', /did you mean PGDATABASE\?$/],
  ['RESTIC_REPOSITORYFILE=/x\n', /did you mean RESTIC_REPOSITORY_FILE\?$/],
  ['[database]\nPGPORT=5433\n', /line 1 is a section, and the file has none/],
  ['# words\nset the port to 5433\n', /line 2 is no setting \(NAME=VALUE\) and no comment \(#\)$/],
  ['ENDOREG DB NAME=x\n', /line 1 is no setting/],
  ['=x\n', /line 1 is no setting/],
  ['ENDOREG_ENV_FILE=/x\n', /^ENDOREG_ENV_FILE \(.*\) says in the environment which settings file is read/],
  ['PGPORT=5433\n#\nPGPORT=5434\r\n', /^PGPORT \(.*\) is set in the lines 1 and 3: keep one$/],
  ['PGPORT=5432\nPGHOST=/x\nPGPORT=5433\n', /^PGPORT \(.*\) is set in the lines 1 and 3: keep one$/],
  ['export PGPORT=1\nPGPORT: 2\nPGPORT=3', /lines 1 and 2 and 3/],
]
t.test('what is no setting is said, with its line', async t => {
  for (const [content, says] of MISTAKES)
    t.throws(
      () => loadSettings({}, write(t, content)),
      { code: 78, message: /one problem$/, reason: says },
      content,
    )
})

t.test('what may stand in the file beside', async t => {
  const content = `; of systemd
FOREIGN=1
FOREIGN=2
http_proxy=http://proxy:3128
PGPASSFILE=/x
PGDATA=/y
PGSSLMODE=require
PGROOT=/usr/lib/postgresql
PGPOOL=1
PG_MASTER=1
LONG="a \\
  b"
OTHER=a \\
  b
KEY='-----BEGIN
PGPORT=1
words
-----END'
PGPORT=5433
PGPORT=5433 # the same
`
  t.equal(loadSettings({ PG_PORT: '1', pghost: 'x' }, write(t, content)).port, 5433)
  t.equal(loadSettings({}, write(t, '\ufeffPGPORT=5433\n')).port, 5433, 'a mark before the text')
  t.throws(() => loadSettings({ endoreg_db_name: 'x' }, '/dev/null'), { code: 78, reason: /did you mean/ })
})

t.test(
  'root does not follow a file that another account can write',
  { skip: root ? false : 'only root can give a file away' },
  async t => {
    const file = write(t, 'ENDOREG_DB_USER=mine\n')
    const expected = { code: 78, message: file, reason: /another account than root can write it/ }
    for (const mode of [0o664, 0o646, 0o666]) {
      chmodSync(file, mode)
      t.throws(() => loadSettings({}, file), expected, `mode ${mode.toString(8)}`)
    }
    chmodSync(file, 0o644)
    t.equal(loadSettings({}, file).dbUser, 'mine')
    chownSync(file, 1, 0)
    t.throws(() => loadSettings({}, file), expected, 'owned by another account')
  },
)

t.test(
  'root does not follow a path that another account can change',
  { skip: root ? false : 'only root can give a folder away' },
  async t => {
    const folder = t.testdir({ above: { below: { 'x.env': 'ENDOREG_DB_USER=mine\n' } } })
    const [above, below] = [join(folder, 'above'), join(folder, 'above/below')]
    const file = join(below, 'x.env')
    const expected = { code: 78, message: file, reason: /another account than root can put another file/ }
    const read = (name = file): string => loadSettings({}, name).dbUser

    for (const change of [() => chownSync(above, 1, 0), () => chmodSync(below, 0o777)]) {
      change()
      t.throws(() => read(), expected)
      chownSync(above, 0, 0)
    }
    chmodSync(below, 0o1777)
    t.equal(read(), 'mine', "root's file in a sticky folder is root's")
    symlinkSync(file, join(below, 'link.env'))
    t.throws(() => read(join(below, 'link.env')), { code: 78 }, 'a link in it can be anybody')
    chmodSync(below, 0o755)
    t.equal(read(join(below, 'link.env')), 'mine')
    symlinkSync('below/x.env', join(above, 'relative.env'))
    t.equal(read(join(above, 'relative.env')), 'mine')
    symlinkSync('circle.env', join(above, 'circle.env'))
    t.throws(() => read(join(above, 'circle.env')), { code: 78, reason: /circle/ })
    renameSync(file, join(below, 'y.env'))
    t.throws(() => read(join(above, 'relative.env')), { code: 78, reason: 'there is no such file' })
  },
)

t.test('a file that may not be read', { skip: root ? 'root reads every file' : false }, async t => {
  const file = write(t, '')
  chmodSync(file, 0)
  t.throws(() => loadSettings({}, file), { code: 78, reason: 'it is not readable for this account' })
})
