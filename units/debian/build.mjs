// Builds endoreg-provision_VERSION_all.deb in the checkout: `npm run deb`. Needs dpkg-deb, and what `npm run build` needs.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { copyright } from './copyright.mjs'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const { version, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: 'utf8' }).trim()
// The same commit gives the same package, byte for byte.
const epoch = process.env.SOURCE_DATE_EPOCH ?? run('git', 'log', '-1', '--format=%ct')
const date = run('date', '--utc', '--date', `@${epoch}`, '--rfc-email')
const filled = file =>
  readFileSync(join(root, 'units/debian', file), 'utf8')
    .replaceAll('@VERSION@', version)
    .replaceAll('@DATE@', date)

const tree = mkdtempSync(join(tmpdir(), 'endoreg-deb-'))
function put(path, content, mode = 0o644) {
  mkdirSync(dirname(join(tree, path)), { recursive: true })
  writeFileSync(join(tree, path), content, { mode })
  chmodSync(join(tree, path), mode)
}
const copy = (from, to, mode) => put(to, readFileSync(join(root, from)), mode)

try {
  chmodSync(tree, 0o755)
  run('npm', 'run', '--silent', 'build')
  const home = 'usr/share/endoreg-provision'
  cpSync(join(root, 'dist'), join(tree, home, 'dist'), {
    recursive: true,
    filter: path => !path.endsWith('.cache'),
  })
  copy('lib/launch.sh', `${home}/lib/launch.sh`)
  copy('lib/as-account', `${home}/lib/as-account`, 0o755)
  mkdirSync(join(tree, 'usr/bin'), { recursive: true })
  for (const [name, file] of Object.entries(bin)) {
    copy(file, `${home}/bin/${name}`, 0o755)
    symlinkSync(`../share/endoreg-provision/bin/${name}`, join(tree, 'usr/bin', name))
  }
  // And what is added to units of others (*.service.d).
  const units = readdirSync(join(root, 'units'), { recursive: true }).filter(name =>
    /^[^/]+\.(?:service|timer|service\.d\/[^/]+\.conf)$/.test(name),
  )
  for (const unit of units) copy(`units/${unit}`, `usr/lib/systemd/system/${unit}`)
  copy('units/sysusers.d/endoreg-provision.conf', 'usr/lib/sysusers.d/endoreg-provision.conf')
  copy('units/tmpfiles.d/endoreg-provision.conf', 'usr/lib/tmpfiles.d/endoreg-provision.conf')
  copy(
    'units/system-preset/80-endoreg-provision.preset',
    'usr/lib/systemd/system-preset/80-endoreg-provision.preset',
  )
  // For rule_files: of a Prometheus: not among the documents, which a host may leave out (dpkg, path-exclude).
  copy('units/prometheus/endoreg-provision.rules.yml', `${home}/prometheus/endoreg-provision.rules.yml`)
  copy('units/provision.env', 'etc/endoreg/provision.env')
  const doc = 'usr/share/doc/endoreg-provision'
  copy('README.md', `${doc}/README.md`)
  for (const file of ['manifest.json', 'manifest.gc-10.json', 'manifest.schema.json'])
    copy(`units/${file}`, `${doc}/examples/${file}`)
  put(`${doc}/copyright`, copyright(root))
  put(`${doc}/changelog.gz`, gzipSync(filled('changelog'), { level: 9 }))
  for (const file of ['control', 'conffiles']) put(`DEBIAN/${file}`, filled(file))
  for (const file of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${file}`, filled(file), 0o755)
  execFileSync('find', [tree, '-type', 'd', '-exec', 'chmod', '0755', '{}', '+'])

  const file = `endoreg-provision_${version}_all.deb`
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, join(root, file)], {
    env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  console.log(file)
} finally {
  rmSync(tree, { recursive: true, force: true })
}
