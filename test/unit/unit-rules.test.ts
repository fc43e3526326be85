import t from 'tap'
import { ExitCode } from '../../lib/frame/failure.ts'
import { settingRows } from '../../lib/frame/settings.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import pkg from '../../package.json' with { type: 'json' }
import { defaultOf } from '../support/settings-table.ts'
import { parseUnit, readUnits, type UnitFile, unitNames } from '../support/unit-file.ts'

const UNITS: ReadonlyMap<string, UnitFile> = new Map(
  unitNames().map(name => [name, parseUnit(readUnits(name))]),
)
const SERVICES = [...UNITS].filter(([name]) => name.endsWith('.service'))
const words = (unit: UnitFile, directive: string): string[] =>
  (unit.get(directive) ?? []).flatMap(line => line.split(/\s+/))
const one = (unit: UnitFile, directive: string): string | undefined => unit.get(directive)?.join('\n')
const isRoots = (unit: UnitFile): boolean => !unit.has('Service.User') && !unit.has('Service.DynamicUser')
const seconds = (text = ''): number => {
  const [, number = '', unit = 's'] = /^(\d+)(s|min|h)?$/.exec(text) ?? []
  return Number(number) * { s: 1, min: 60, h: 3600 }[unit === 'min' || unit === 'h' ? unit : 's']
}

t.test('rights', async t => {
  const roots = SERVICES.filter(([, unit]) => isRoots(unit))
  t.same(
    roots.map(([name]) => name),
    [
      'endoreg-backup.service',
      'endoreg-metrics.service',
      'endoreg-restore-drill.service',
      'endoreg-rotate-password.service',
      'postgres-endoreg-setup.service',
    ],
    'these run as root, and no other',
  )
  const most = ['CAP_CHOWN', 'CAP_SETGID', 'CAP_SETUID']
  for (const [name, unit] of SERVICES) {
    t.equal(one(unit, 'Service.NoNewPrivileges'), 'yes', `${name}: NoNewPrivileges`)
    t.notOk(
      words(unit, 'Service.CapabilityBoundingSet').some(right => right.startsWith('~')),
      name,
    )
    t.equal(one(unit, 'Service.PrivateTmp'), 'yes', `${name}: a folder for temporary files of its own`)
  }
  for (const [name, unit] of roots) {
    const rights = words(unit, 'Service.CapabilityBoundingSet')
    t.ok(rights.length > 0 && rights.every(right => most.includes(right)), `${name}: ${rights.join(' ')}`)
    t.equal(one(unit, 'Service.UMask'), '0077', `${name}: UMask`)
    // The drill shuts up in them what is restored.
    const namespaces = name === 'endoreg-restore-drill.service' ? 'user mnt net pid ipc' : 'yes'
    t.equal(one(unit, 'Service.RestrictNamespaces'), namespaces, `${name}: RestrictNamespaces`)
    const reaches = one(unit, 'Service.TemporaryFileSystem') !== '/run:ro'
    t.equal(reaches, name === 'endoreg-rotate-password.service', `${name}: the sockets of systemd and D-Bus`)
    if (reaches) t.match(readUnits(name), /^# .*\(systemctl\)/m, `${name}: it says why`)
    // Of the same path, a mount that is only read-only would win (systemd 252 and 257).
    if (!reaches) t.notOk(unit.has('Service.ReadOnlyPaths'), `${name}: what ReadOnlyPaths= shows again`)
    t.notOk(unit.has('Service.EnvironmentFile'), `${name}: the command reads the settings itself`)
  }
})

t.test('what may be written', async t => {
  const ours = settingRows().flatMap(row => row.default ?? [])
  const inside = (folder: string): boolean =>
    ours.some(path => path === folder || path.startsWith(`${folder}/`))
  const others = ['/etc/postgresql', '/var/lib/prometheus', '/run/endo-api-boot']
  for (const [name, unit] of SERVICES) {
    for (const path of words(unit, 'Service.ReadWritePaths')) {
      t.match(path, /^-\//, `${name}: ${path} need not be there`)
      const folder = path.slice(1)
      t.ok(inside(folder) || others.includes(folder), `${name}: ${folder} is a folder of ours`)
      t.ok(folder.split('/').length > 2, `${name}: ${folder} is nothing of the whole system's`)
    }
    if (unit.has('Service.StateDirectory'))
      t.equal(`/var/lib/${one(unit, 'Service.StateDirectory')}`, defaultOf('ENDOREG_STATE_DIR'), name)
  }
})

t.test('systemd, which is root, follows no path that another account controls', async t => {
  // Where another account has a folder, everything in it may be a link of that account's. The folder itself may not.
  const made = readUnits('tmpfiles.d/endoreg-provision.conf')
    .split('\n')
    .map(line => line.split(/\s+/))
    .flatMap(([type, path = '', , owner]) => (type === 'd' && owner !== 'root' ? [path] : []))
  t.ok(made.includes('/etc/secrets/vault') && made.includes('/var/endoreg-service-user'), made.join())
  // What Debian's packages give to accounts of their own.
  const theirs = [
    ...made,
    '/etc/postgresql',
    '/var/lib/postgresql',
    '/var/lib/prometheus',
    '/home',
    '/tmp',
    '/var/tmp',
  ]
  const isTheirs = (path: string): boolean => theirs.some(folder => path.startsWith(`${folder}/`))
  // Names that only the command itself uses, with the account's own rights.
  const ofTheCommand = ['Service.Environment', 'Unit.Documentation']
  for (const [name, unit] of UNITS) {
    for (const [directive, lines] of unit) {
      if (ofTheCommand.includes(directive)) continue
      for (const [, path = ''] of lines.join('\n').matchAll(/(?:^|[\s:=+!@-])(\/[^\s:;'"]+)/g))
        t.notOk(isTheirs(path), `${name}: ${directive}=${path}`)
    }
    for (const directive of ['LoadCredential', 'LoadCredentialEncrypted', 'ImportCredential'])
      t.notOk(
        unit.has(`Service.${directive}`),
        `${name}: the command reads it itself, and looks who could have put it there`,
      )
  }
  // The PATH of the API may begin with folders of its account's.
  const byRoot = [...(UNITS.get('endo-api.service') ?? [])].flatMap(([, lines]) =>
    lines.filter(line => /^[-@:]*\+/.test(line)),
  )
  t.ok(byRoot.length > 0)
  for (const line of byRoot) t.notMatch(line, /(?<![\w/])(?:systemctl|nsenter|sh -c)/, line)
  for (const line of readUnits('tmpfiles.d/endoreg-provision.conf')
    .split('\n')
    .filter(line => /^\w/.test(line)))
    t.notOk(isTheirs(line.split(/\s+/)[1] ?? ''), line)
})

t.test('what comes before what', async t => {
  for (const [name, unit] of UNITS) {
    const after = words(unit, 'Unit.After')
    for (const how of ['Requires', 'Wants', 'PartOf', 'BindsTo', 'Requisite']) {
      for (const other of words(unit, `Unit.${how}`))
        t.ok(after.includes(other), `${name} with ${how}=${other} also comes after it`)
    }
    const named = [...after, ...words(unit, 'Unit.Requires'), ...words(unit, 'Unit.OnFailure')]
    for (const other of named.filter(word => /^(?:endo|postgres-endo)/.test(word)))
      t.ok(UNITS.has(other.replace('%N', '')), `${name}: there is ${other}`)
    if (name.endsWith('.timer')) t.ok(UNITS.has(name.replace('.timer', '.service')), `${name}: its service`)
  }
  const setup = 'postgres-endoreg-setup.service'
  t.notOk(
    words(UNITS.get(setup) ?? new Map(), 'Unit.Requires').length,
    'a restart of PostgreSQL stops nothing',
  )
})

t.test('what is tried again', async t => {
  const never = [ExitCode.usage, ExitCode.bug, ExitCode.notPermitted, ExitCode.configuration].map(String)
  for (const [name, unit] of SERVICES) {
    // Every attempt of endo-api-boot starts the one that passes its metrics on.
    if (!(one(unit, 'Service.ExecStart') ?? '').startsWith('/usr/bin/') || name === 'endoreg-metrics.service')
      continue
    const prevented = words(unit, 'Service.RestartPreventExitStatus')
    for (const code of never) t.ok(prevented.includes(code), `${name}: not after ${code}`)
    t.notOk(prevented.includes(String(ExitCode.tryLater)), `${name}: after 75`)
    t.equal(one(unit, 'Service.Restart'), 'on-failure', name)
    t.match(one(unit, 'Unit.OnFailure'), 'endoreg-alert@%N.service', `${name}: somebody is told`)
    const [command = ''] = (one(unit, 'Service.ExecStart') ?? '').replace('/usr/bin/', '').split(' ')
    t.ok(command in pkg.bin, `${name} runs ${command}`)
  }
  const failures = UNITS.get('endoreg-failures@.service') ?? new Map()
  const passed = Number(one(failures, 'Unit.StartLimitBurst'))
  for (const name of ['postgres-endoreg-setup.service', 'endo-api-boot.service']) {
    const unit = UNITS.get(name) ?? new Map()
    const turn = seconds(one(unit, 'Service.RestartSec')) + loadSettings({}, '/dev/null').readyTimeout
    const starts = seconds(one(unit, 'Unit.StartLimitIntervalSec')) / turn
    t.ok(starts < Number(one(unit, 'Unit.StartLimitBurst')), `${name} waits for PostgreSQL for ever`)
    t.ok(300 / turn < passed, `${name}: nobody is told of a PostgreSQL that is five minutes late`)
    const told = seconds(one(failures, 'Unit.StartLimitIntervalSec')) / turn
    t.ok(passed < told, `${name}: somebody is told of one that does not come`)
  }
  for (const [name, unit] of SERVICES) {
    if (one(unit, 'Service.Restart') === undefined) continue
    const retries = Number(one(unit, 'Unit.StartLimitBurst')) * seconds(one(unit, 'Service.RestartSec'))
    t.ok(retries < seconds(one(unit, 'Unit.StartLimitIntervalSec')), `${name} comes to its limit`)
  }
})

t.test('what the commands find in their credentials and folders', async t => {
  const boot = UNITS.get('endo-api-boot.service') ?? new Map()
  t.equal(one(boot, 'Service.User'), defaultOf('ENDOREG_SERVICE_USER'))
  t.equal(one(boot, 'Service.Group'), defaultOf('ENDOREG_SERVICE_GROUP'))
  const api = one(UNITS.get('endo-api.service') ?? new Map(), 'Service.Environment') ?? ''
  t.match(api, `ENDOREG_API_DIR=${defaultOf('ENDOREG_API_DIR')}\n`)
  t.match(api, `LX_MAINTENANCE_PASSWORD_FILE=${defaultOf('ENDOREG_VAULT_FILE')}`)
  for (const name of ['postgres-endoreg-setup', 'endoreg-rotate-password', 'endo-api-boot'].map(
    unit => `${unit}.service`,
  ))
    t.equal(
      one(UNITS.get(name) ?? new Map(), 'Service.SupplementaryGroups'),
      defaultOf('ENDOREG_VAULT_GROUP'),
    )
})
