import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Settings } from '../../lib/frame/settings.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { inspectCheckout } from '../../lib/provision/checkout-files.ts'
import { planKey, planLocalSettings, requireKey } from '../../lib/provision/copies.ts'
import { disagreements, localSettings } from '../../lib/provision/local-settings.ts'
import { scratch } from '../support/scratch.ts'

const PYTHON = '/usr/bin/python3'
const there = spawnSync(PYTHON, ['-c', '']).status === 0
const python = { skip: there ? false : `there is no ${PYTHON}` } as const

const me = { name: 'me', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const OWNER = { uid: me.uid, gid: me.gid, mode: 0o600, names: 'me:mine' }

/** A checkout, and what is found and planned there with the settings `env`. */
function checkout(t: Parameters<typeof scratch>[0], env: Record<string, string> = {}) {
  const path = scratch(t)
  mkdirSync(join(path, 'conf'))
  const settings: Settings = loadSettings({ ENDOREG_API_DIR: path, ...env }, '/dev/null')
  const look = () => {
    const found = inspectCheckout.here(path, OWNER)
    if (!found) throw new Error('no checkout')
    return found
  }
  const install = (): string[] => {
    const found = look()
    const changes = [
      ...planKey(found, me, OWNER),
      ...planLocalSettings(found, localSettings(settings), me, OWNER),
    ]
    for (const change of changes) if (change.by === 'file') change.run()
    return changes.map(({ action }) => action)
  }
  return {
    path,
    settings,
    look,
    install,
    file: join(path, 'local_settings.py'),
    key: join(path, 'conf/secret_key'),
  }
}

/** What Python has after `from local_settings import *` in the folder `path`. */
function imported(path: string): Record<string, unknown> {
  const script =
    'import json; from local_settings import *; print(json.dumps({k: v for k, v in globals().items() if k.isupper() or not k.startswith("_") and k != "json"}))'
  const { stdout, stderr } = spawnSync(PYTHON, ['-B', '-c', script], { cwd: path, encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout)
}

t.test('Python has what the settings say, and the secrets of this moment', python, async t => {
  const its = checkout(t, {
    ENDOREG_DB_NAME: 'it\'s "odd" \\ é🔑',
    ENDOREG_DB_HOST: '::1',
    ENDOREG_DB_PORT: '6432',
    ENDOREG_DB_SSLMODE: 'require',
    ENDOREG_API_ALLOWED_HOSTS: 'a.example, b.example',
    ENDOREG_API_DEBUG: 'yes',
    ENDOREG_API_LOG_LEVEL: 'ERROR',
    ENDOREG_API_SETTINGS:
      '{"TIME_ZONE": "Europe/Berlin", "CENTRAL_NODES": ["\\u2028", null, true, 1.5, {"a": []}]}',
  })
  its.install()
  writeFileSync(join(its.path, 'conf/db_pwd'), ' a pässword \n')
  const found = imported(its.path)
  t.same(found, {
    DATABASES: {
      default: {
        ENGINE: 'django.db.backends.postgresql',
        NAME: 'it\'s "odd" \\ é🔑',
        USER: 'endoregDbLocal',
        PASSWORD: 'a pässword',
        HOST: '::1',
        PORT: '6432',
        OPTIONS: { sslmode: 'require' },
      },
    },
    SECRET_KEY: readFileSync(its.key, 'utf8').trim(),
    DEBUG: true,
    ALLOWED_HOSTS: ['a.example', 'b.example'],
    LOGGING: {
      version: 1,
      disable_existing_loggers: false,
      handlers: { console: { class: 'logging.StreamHandler' } },
      root: { handlers: ['console'], level: 'ERROR' },
    },
    TIME_ZONE: 'Europe/Berlin',
    LANGUAGE_CODE: 'en-us',
    DATA_UPLOAD_MAX_MEMORY_SIZE: 104_857_600,
    IS_CENTRAL_NODE: false,
    CENTRAL_NODES: ['\u2028', null, true, 1.5, { a: [] }],
  })
  writeFileSync(join(its.path, 'conf/db_pwd'), 'next\n')
  t.match(imported(its.path), { DATABASES: { default: { PASSWORD: 'next' } } })
})

t.test('a number that is none in JSON', async t => {
  const { settings } = checkout(t)
  t.match(localSettings({ ...settings, apiSettings: '{"A": -1e999}' }), /^A = float\("-inf"\)$/m)
})

t.test('both are made once, and then are right', async t => {
  const its = checkout(t)
  t.match(its.install(), [/^generate, me:mine 0600$/, /^create$/])
  t.same(its.install(), [])
  const key = readFileSync(its.key, 'utf8')
  t.match(key, /^[A-Za-z0-9+/]{43}=\n$/)
  t.equal(statSync(its.key).mode & 0o777, 0o600)
  t.equal(statSync(its.file).mode & 0o777, 0o640)

  t.test('owner and mode are corrected, and the key stays', async t => {
    chmodSync(its.key, 0o644)
    chmodSync(its.file, 0o600)
    t.match(its.install(), [/^set owner and mode, /])
    t.equal(readFileSync(its.key, 'utf8'), key)
    t.equal(statSync(its.key).mode & 0o777, 0o600)
    t.equal(statSync(its.file).mode & 0o777, 0o600, 'the file keeps its own')
  })
  t.test('ours is corrected, with its mode', async t => {
    writeFileSync(its.file, `${readFileSync(its.file, 'utf8')}DEBUG = True\n`)
    t.same(its.install(), ['correct'])
    t.notMatch(readFileSync(its.file, 'utf8'), /DEBUG = True/)
    t.equal(statSync(its.file).mode & 0o777, 0o600)
  })
  t.test('a key of no bytes is none', async t => {
    writeFileSync(its.key, '')
    t.match(its.install(), [/^generate/])
    t.not(readFileSync(its.key, 'utf8'), key)
  })
  t.test('a link is somebody else’s, and a folder is said', async t => {
    rmSync(its.key)
    symlinkSync('elsewhere', its.key)
    t.same(its.install(), [])
    rmSync(its.key)
    mkdirSync(its.key)
    t.throws(() => its.install(), { code: 78, reason: 'it is a folder' })
    rmSync(its.key, { recursive: true })
  })
  t.test('one that can be no key is left, and said', async t => {
    for (const text of [' \n', 'a\nb', Buffer.from([0xff])]) {
      writeFileSync(its.key, text)
      t.throws(() => its.install(), { code: 78, message: `provide the API's SECRET_KEY in ${its.key}` })
    }
  })
})

t.test('what is somebody else’s stays as it is', async t => {
  const own = 'DEBUG = False\n'
  const cases: readonly [name: string, make: (file: string) => void][] = [
    ['a file', file => writeFileSync(file, own)],
    [
      'a file that names us further down',
      file => writeFileSync(file, `\n${localSettings(checkout(t).settings)}`),
    ],
    ['a file that is no UTF-8', file => writeFileSync(file, Buffer.from([0xff]))],
    [
      'a link',
      file => {
        writeFileSync(`${file}.kept`, own)
        symlinkSync('local_settings.py.kept', file)
      },
    ],
    [
      'a link to ours',
      file => {
        writeFileSync(`${file}.kept`, localSettings(checkout(t).settings))
        symlinkSync('local_settings.py.kept', file)
      },
    ],
    ['a folder', file => mkdirSync(file)],
    ['a link that leads nowhere yet', file => symlinkSync('/nowhere/local_settings.py', file)],
    ['a file that is too large', file => writeFileSync(file, '#'.repeat(65_537))],
  ]
  for (const [name, make] of cases) {
    const its = checkout(t)
    make(its.file)
    t.match(its.install(), [/^generate/], name)
    t.equal(its.look().local.state, 'foreign', name)
  }
  const its = checkout(t)
  symlinkSync('/nix/store/abc-local_settings.py', its.file)
  t.match(its.install(), [/^generate/, /^create$/], 'but for the link of our former module')
  t.ok(statSync(its.file).isFile())
})

t.test('a key that another tool provides', python, async t => {
  const its = checkout(t)
  const file = join(its.path, 'key')
  t.throws(() => requireKey.here(file), { code: 75, reason: 'there is no such file yet' })
  writeFileSync(file, '\n')
  t.throws(() => requireKey.here(file), { code: 78 })
  writeFileSync(file, 'theirs\n')
  t.doesNotThrow(() => requireKey.here(file))
  writeFileSync(its.file, localSettings({ ...its.settings, apiSecretKeyFile: file }))
  writeFileSync(join(its.path, 'conf/db_pwd'), 'a')
  t.match(imported(its.path), { SECRET_KEY: 'theirs' })
})

t.test('what a file of somebody else’s says otherwise', async t => {
  const { settings, path } = checkout(t)
  const like = (change: (text: string) => string): string[] =>
    disagreements(settings, change(localSettings(settings)))
  t.same(
    like(text => text),
    [],
  )
  t.same(
    like(text => text.replace(/_Path\("[^"]*db_pwd"\)/, `open('${settings.vaultFile}')`)),
    [],
    'the vault is read as LuxNix reads it',
  )
  t.same(disagreements(settings, 'DEBUG = False\n#DATABASES = {}\n'), [
    'it says nothing of the database, for which then conf/db.yaml counts, without a password',
  ])
  t.same(
    like(text => text.replace('"localhost"', "'db.example'").replace('"5432"', '5433')),
    ['it has another HOST, PORT than the settings say'],
  )
  t.same(
    like(text => text.replace(/_Path\("[^"]*db_pwd"\).*/, '"in plain",')),
    ['it holds a password in plain'],
  )
  t.same(
    like(text => text.replace(`${path}/conf/db_pwd`, '/home/admin/x')),
    ['it reads the password from /home/admin/x, which nobody keeps in step'],
  )
  t.match(
    like(text => text.replace('DEBUG = False', 'DEBUG=True')),
    [/^it has DEBUG on/],
  )
})
