import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import pkg from '../../package.json' with { type: 'json' }
import { runCommand } from '../support/command.ts'
import { CHECKOUT, LIB, Nix, withoutLib } from '../support/nix.ts'

// Nix itself builds here, with this machine's programs in the place of nixpkgs' (test/support/nix/host-packages.nix).

t.test('the package and a configuration are built', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const built = nix.run(
    'nix-build',
    '--no-out-link',
    '-E',
    `let lib = import ${LIB}; in
     (import ${CHECKOUT}/test/support/nix/host-packages.nix { inherit lib; path = ${JSON.stringify(nix.path)}; })
     .callPackage ${CHECKOUT}/units/nixos/package.nix { }`,
  )
  t.equal(built.code, 0, built.err)
  const out = built.out.trim()
  const units = (folder: string): string[] =>
    readdirSync(folder, { encoding: 'utf8', recursive: true })
      .filter(name => /^[^/]+\.(?:service|timer|service\.d\/[^/]+\.conf)$/.test(name))
      .sort()

  t.test('it has every command and every unit', async t => {
    t.strictSame(readdirSync(join(out, 'bin')).sort(), Object.keys(pkg.bin).sort())
    t.strictSame(units(join(out, 'lib/systemd/system')), units(join(CHECKOUT, 'units')))
    for (const name of Object.keys(pkg.bin)) t.ok(statSync(join(out, 'bin', name)).mode & 0o111, name)
  })

  t.test('units name the package, and nothing of Debian', async t => {
    for (const name of units(join(CHECKOUT, 'units'))) {
      const packaged = readFileSync(join(out, 'lib/systemd/system', name), 'utf8')
      const shipped = readFileSync(join(CHECKOUT, 'units', name), 'utf8')
      const statements = packaged.split('\n').filter(line => !line.startsWith('#'))
      t.strictSame(
        statements.filter(line => /(?<![\w.-])\/(?:usr|bin|sbin)\//.test(line)),
        [],
        name,
      )
      // Back to Debian's paths it is the unit that ships, byte for byte.
      const back = packaged
        .replaceAll(`${out}/share/doc/`, '/usr/share/doc/')
        .replaceAll(`${out}/bin/`, '/usr/bin/')
        .replaceAll(/\/[^\s']*-bash\/bin\/sh /g, '/bin/sh ')
        .replaceAll(/\/[^\s']*-systemd\/bin\/systemctl /g, 'systemctl ')
      t.equal(back, shipped.replaceAll('/bin/systemctl ', 'systemctl '), name)
    }
  })

  t.test('a command brings its programs along, and finds the others on the PATH', async t => {
    const version = (env: Record<string, string>) =>
      runCommand(join(out, 'bin/sync-password'), ['--version'], { env })
    t.match(await version({}), { code: 0, out: `sync-password ${pkg.version}\n` })
    t.match(await version({ PATH: '/nowhere' }), { code: 0 })
    const wrapper = readFileSync(join(out, 'bin/sync-password'), 'utf8')
    t.match(
      wrapper,
      /^PATH=[^$]*-nodejs\/bin:[^$]*\$\{PATH:\+:\$PATH\}:[^$]*-postgresql-16\/bin:[^$]*-systemd\/bin/m,
    )
  })

  t.test('a build leaves no metrics', async t => {
    const metrics = t.testdir({})
    const { code, err } = nix.buildSettings(
      `{ services.endoreg-provision = { enable = true; metricsDirectory = "${metrics}"; }; }`,
    )
    t.equal(code, 0, err)
    t.strictSame(readdirSync(metrics), [])
  })

  t.test('a good configuration is built, and its settings file is the one that was checked', async t => {
    const { code, out, err } = nix.buildSettings('{ services.endoreg-provision.enable = true; }')
    t.equal(code, 0, err)
    t.match(err, 'settings and manifest are right: 8 roles, 9 databases, 6 access rules, 6 identity mappings')
    const file = readFileSync(out.trim(), 'utf8')
    t.match(file, /^ENDOREG_MANIFEST=\/.*-endoreg-manifest\.json$/m)
    t.match(file, /^ENDOREG_API_COMMAND='devenv shell -- run-prod-server'$/m)
  })

  const BAD: readonly (readonly [name: string, options: string, says: string])[] = [
    [
      'a method that PostgreSQL does not have',
      'manifest.hba = [ { type = "host"; database = "all"; role = "all"; address = "loopback"; method = "sesame"; } ];',
      'hba.6: ',
    ],
    [
      'an address that is none',
      'manifest.hba = [ { type = "host"; database = "all"; role = "all"; address = "1.2.3.4.5/99"; method = "md5"; } ];',
      'hba.6',
    ],
    [
      'a date that is none',
      'manifest.roles = [ { name = "x"; validUntil = "2030-02-30"; } ];',
      'roles.8.validUntil: ',
    ],
    ['a name that is a host for the module only', 'settings.ENDOREG_DB_HOST = "1:2:3";', 'ENDOREG_DB_HOST'],
  ]
  for (const [name, options, says] of BAD) {
    t.test(`not built: ${name}`, async t => {
      const { code, err } = nix.buildSettings(
        `{ services.endoreg-provision = { enable = true; ${options} }; }`,
      )
      t.not(code, 0)
      t.ok(err.includes(says), err)
      t.match(err, /exit code 78/)
    })
  }
})
