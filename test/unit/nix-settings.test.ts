import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { settingRows } from '../../lib/frame/settings.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { CHECKOUT, LIB, Nix, withoutLib } from '../support/nix.ts'

/** What the module sets where the commands leave it to what they find. */
const SET = ['ENDOREG_DB_PORT', 'ENDOREG_MANIFEST', 'ENDOREG_PG_DATA', 'ENDOREG_API_COMMAND']

/** Values of every setting that the commands take, and so the module has to: as Nix writes them. */
const GOOD: Readonly<Record<string, readonly string[]>> = {
  PGHOST: ['"/run/postgresql"', '"db.example.org"', '"::1"', '"10.0.0.1"', '"/var/run/a b"'],
  PGUSER: ['"postgres"', '"two words"', '"Müller"'],
  PGDATABASE: ['"postgres"', '"it\'s"'],
  ENDOREG_PG_OS_USER: ['"postgres"', '"_pg"', '"a.b@c-d$"', '"Müller"', '"9"'],
  ENDOREG_PG_DATA: ['"/srv/pg"', '"/srv/.pg/..data"', '"/srv/ä ö"'],
  ENDOREG_DB_NAME: ['"all"', '"pg_data"', '"Übung 1"', `"${'x'.repeat(63)}"`],
  ENDOREG_DB_USER: ['"app"', '"Public"', '"two words"'],
  ENDOREG_DB_HOST: ['"localhost"', '"fe80::1"', '"a_b.c"'],
  ENDOREG_DB_PORT: ['1', '65535'],
  ENDOREG_VAULT_OWNER: ['"root"'],
  ENDOREG_API_REPOSITORY: ['"git@example.org:a/b.git"', '"https://example.org/a"', 'null'],
  ENDOREG_API_BRANCH: ['"main"', '"feature/x+1.0"'],
  ENDOREG_API_SETTINGS: ['"{\\"TIME_ZONE\\": \\"UTC\\"}"', 'null'],
  ENDOREG_API_HEALTH_URL: ['"https://[::1]:8118/x"'],
  DJANGO_MODULE: ['"endo_api.central"'],
  ENDOREG_READY_TIMEOUT: ['1', '0.5', '86400', '59.125'],
  ENDOREG_API_COMMAND: ['"devenv shell -- run-prod-server"', '"a \'b c\' d"', '"x=$y"', '"#1"'],
  RESTIC_REPOSITORY: ['"sftp:a:/b"', '"rest:https://user@host/"'],
}

/** Values of which neither takes one. */
const BAD: Readonly<Record<string, readonly string[]>> = {
  PGHOST: ['"-x"', '"/run/"', '"a b"'],
  PGPORT: ['0', '65536'],
  ENDOREG_PG_OS_USER: ['"-x"', '"a b"', '"a:b"', '"$x"'],
  ENDOREG_PG_DATA: ['"relative"', '"/a//b"', '"/a/./b"', '"/a/.."', '"/"'],
  ENDOREG_DB_NAME: [`"${'x'.repeat(64)}"`, '"a\\nb"', '""', '"/x"'],
  ENDOREG_DB_USER: ['"pg_x"', '"public"', '"none"', '"/x"'],
  ENDOREG_API_BRANCH: ['"a..b"', '"-x"', '"a b"'],
  DJANGO_MODULE: ['"a-b"', '"a."'],
  HTTP_PROTOCOL: ['"gopher"'],
  ENDOREG_READY_TIMEOUT: ['0', '86401'],
  ENDOREG_ON_FOREIGN_CHANGE: ['"ignore"'],
}

t.test('settings on NixOS', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const empty = join(t.testdir({ 'empty.env': '' }), 'empty.env')
  /** The settings file that `settings`, as Nix writes them, become. */
  const fileOf = (settings: string): string =>
    String(
      nix.evaluate(`let
        lib = import ${LIB};
        file = import ${CHECKOUT}/units/nixos/env-file.nix { inherit lib; };
      in file.text (file.given ${settings})`),
    )
  /** The setting of a host that gives `value` to `name`. */
  const set = (name: string, value: string) =>
    nix.host(`{ services.endoreg-provision = { enable = true; settings.${name} = ${value}; }; }`).provision
      .settings[name]

  t.test('are those of the commands, with their defaults', async t => {
    const { settings } = nix.host('{ services.endoreg-provision.enable = true; }').provision
    const rows = settingRows()
    t.strictSame(Object.keys(settings).sort(), rows.map(({ name }) => name).sort())
    for (const { name, default: usual } of rows) {
      if (SET.includes(name)) continue
      const value = settings[name]
      t.equal(value === null ? undefined : String(value), usual, name)
    }
    t.equal(settings['ENDOREG_DB_PORT'], settings['PGPORT'])
    t.equal(settings['ENDOREG_API_COMMAND'], 'devenv shell -- run-prod-server')
  })

  t.test('are documented', async t => {
    const undocumented = nix.evaluate(`let
      lib = import ${LIB};
      inherit (import ${CHECKOUT}/test/support/nix/evaluate.nix {
        libPath = ${LIB}; path = "/usr/bin"; modules = [ ${CHECKOUT}/units/nixos/module.nix ];
      }) evaluated;
      ours = lib.filter (option: option.visible && !option.internal)
        (lib.optionAttrSetToDocList evaluated.options.services.endoreg-provision);
      isWhole = option: option.description or null != null && option.type or "" != ""
        && (option ? default || lib.hasInfix "*" option.name || option.readOnly)
        && (option ? example || option.type == "boolean");
    in { count = lib.length ours; missing = map (option: option.name) (lib.filter (option: !isWhole option) ours); }`)
    t.match(undocumented, { missing: [] })
    t.comment(`${JSON.stringify(undocumented)}`)
  })

  t.test('the module takes what the commands take', async t => {
    for (const [name, values] of Object.entries(GOOD)) {
      for (const value of values) {
        const given = set(name, value)
        const file = fileOf(`{ ${name} = ${value}; }`)
        const folder = t.testdir({ 'provision.env': file })
        t.doesNotThrow(() => loadSettings({}, join(folder, 'provision.env')), `${name} = ${value}: ${file}`)
        if (given === null) t.equal(file, '')
        else t.match(file, new RegExp(`^${name}=`))
      }
    }
  })

  t.test('the module does not take what the commands refuse', async t => {
    for (const [name, values] of Object.entries(BAD)) {
      for (const value of values) {
        t.throws(() => set(name, value), `${name} = ${value}`)
        const asText: unknown = JSON.parse(value)
        t.throws(() => loadSettings({ [name]: String(asText) }, empty), { code: 78 }, `${name}=${value}`)
      }
    }
  })

  t.test('a value is what it was, for the commands and for a shell', async t => {
    for (const value of [
      'plain',
      'two words',
      "it's",
      'say "x"',
      '#no comment',
      '$HOME `id`',
      'a=b;c&d|e',
      'ü € 🐘',
      ' x ',
      '',
    ]) {
      const file = fileOf(`{ ENDOREG_ALERT_COMMAND = ${JSON.stringify(value).replaceAll('$', '\\$')}; }`)
      const path = join(t.testdir({ 'provision.env': file }), 'provision.env')
      const { parse } = await import('dotenv')
      t.strictSame(parse(file), { ENDOREG_ALERT_COMMAND: value }, file)
      if (value.includes("'")) continue
      const shell = spawnSync('sh', ['-c', '. "$0"; printf %s "$ENDOREG_ALERT_COMMAND"', path], {
        encoding: 'utf8',
      })
      t.equal(shell.stdout, value)
    }
  })
})
