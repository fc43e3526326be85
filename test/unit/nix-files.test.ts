import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import pkg from '../../package.json' with { type: 'json' }
import { CHECKOUT, LIB, Nix, withoutLib, withoutNix } from '../support/nix.ts'

const SCENARIOS = readdirSync(join(CHECKOUT, 'test/nix')).map(file => file.replace('.nix', ''))
const files = ['.', 'units/nixos', 'test/nix', 'test/support/nix'].flatMap(folder =>
  readdirSync(join(CHECKOUT, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter(name => name.endsWith('.nix'))
    .map(name => join(CHECKOUT, folder, name)),
)

t.test('every Nix file can be read', { skip: withoutNix }, async t => {
  t.ok(files.length > 30)
  const { code, err } = new Nix(t).run('nix-instantiate', '--parse', ...files)
  t.equal(code, 0, err)
})

t.test('flake.lock names a revision and what it has to be', async t => {
  const lock: unknown = JSON.parse(readFileSync(join(CHECKOUT, 'flake.lock'), 'utf8'))
  t.match(lock, {
    nodes: {
      nixpkgs: {
        locked: { narHash: /^sha256-[A-Za-z0-9+/]{43}=$/, rev: /^[0-9a-f]{40}$/, lastModified: Number },
        original: { owner: 'NixOS', repo: 'nixpkgs', ref: /^nixos-\d\d\.\d\d$/ },
      },
      root: { inputs: { nixpkgs: 'nixpkgs' } },
    },
  })
  const [, ref] =
    /github:NixOS\/nixpkgs\/([^"]+)"/.exec(readFileSync(join(CHECKOUT, 'flake.nix'), 'utf8')) ?? []
  t.match(lock, { nodes: { nixpkgs: { original: { ref } } } })
})

t.test('the flake', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const flake = `import ${CHECKOUT}/test/support/nix/flake.nix { libPath = ${LIB}; path = ${JSON.stringify(nix.path)}; }`
  const systems = ['aarch64-linux', 'x86_64-linux']
  const evaluate = (expression: string): unknown =>
    nix.evaluate(`let lib = import ${LIB}; flake = ${flake}; in ${expression}`)
  /** What an output has for each system. */
  const names = (output: string): unknown => evaluate(`lib.mapAttrs (_: lib.attrNames) flake.${output}`)
  const each = (entries: readonly string[]) => Object.fromEntries(systems.map(system => [system, entries]))

  t.test('has what it should', async t => {
    t.strictSame(evaluate('lib.attrNames flake'), [
      'apps',
      'checks',
      'devShells',
      'formatter',
      'nixosConfigurations',
      'nixosModules',
      'overlays',
      'packages',
    ])
    t.strictSame(names('packages'), each(['default', 'endoreg-provision']))
    t.strictSame(names('apps'), each(Object.keys(pkg.bin).sort()))
    t.strictSame(names('devShells'), each(['default']))
    t.strictSame(evaluate('lib.attrNames flake.nixosModules'), ['default', 'luxnix'])
    const checks = [
      'host-example',
      'host-luxnix',
      'package',
      'settings',
      ...SCENARIOS.map(name => `vm-${name}`),
    ]
    t.strictSame(names('checks'), each(checks.sort()))
  })

  t.test('its outputs are derivations, and its apps programs of the package', async t => {
    const isWhole = `lib.all lib.isDerivation (
      lib.concatMap lib.attrValues (map (system: flake.packages.\${system} // flake.devShells.\${system}
        // flake.checks.\${system} // { formatter = flake.formatter.\${system}; }) [ "x86_64-linux" "aarch64-linux" ]))`
    // Where nixpkgs is not, writeText gives a path.
    const relaxed = isWhole.replace(
      'lib.isDerivation',
      '(value: lib.isDerivation value || lib.hasInfix "-host-" (toString value))',
    )
    t.equal(evaluate(relaxed), true)
    const app: unknown = evaluate('flake.apps.x86_64-linux.debug-postgres')
    t.match(app, { type: 'app', program: /-endoreg-provision-[\d.]+\/bin\/debug-postgres$/ })
    t.match(
      evaluate('(flake.overlays.default { callPackage = file: _: baseNameOf file; } { }).endoreg-provision'),
      'package.nix',
    )
  })

  t.test('its hosts are whole, with their assertions', async t => {
    const host = 'flake.nixosConfigurations.example.config'
    t.match(evaluate(`${host}.system.build.toplevel.drvPath`), /-nixos-system\.drv$/)
    t.equal(
      evaluate(`${host}.services.postgresql.settings.listen_addresses`),
      'localhost,127.0.0.1,172.16.255.110',
    )
    t.strictSame(evaluate(`${host}.warnings`), [])
    t.match(evaluate('toString flake.checks.aarch64-linux.host-luxnix'), /-endoreg-provision-host-luxnix$/)
  })
})

t.test('the VM tests, as far as they go without a VM', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  for (const name of SCENARIOS) {
    t.test(name, async t => {
      const scenario = `(let lib = import ${LIB}; file = import ${CHECKOUT}/test/nix/${name}.nix;
        pkgs = import ${CHECKOUT}/test/support/nix/host-packages.nix { inherit lib; path = ${JSON.stringify(nix.path)}; };
        in if builtins.isFunction file then file { inherit pkgs lib; } else file)`
      const about: { name: string; machines: string[]; testScript: string } = JSON.parse(
        JSON.stringify(
          nix.evaluate(
            `{ inherit (${scenario}) name testScript; machines = builtins.attrNames ${scenario}.nodes; }`,
          ),
        ),
      )
      t.equal(about.name, `endoreg-provision-${name}`)
      for (const machine of about.machines) {
        const host = nix.host(`${scenario}.nodes.${machine}`)
        t.strictSame([host.failed, host.warnings], [[], []], machine)
        t.ok(host.services['endo-api'])
        t.match(about.testScript, new RegExp(`\\b${machine}\\b`))
      }
      const python = spawnSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], {
        input: about.testScript,
        encoding: 'utf8',
      })
      if (!python.error) t.equal(python.status, 0, python.stderr)
    })
  }
})
