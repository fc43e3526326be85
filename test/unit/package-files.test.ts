import t from 'tap'
import { defaultOf } from '../support/settings-table.ts'
import { parseUnit, readUnits, unitNames } from '../support/unit-file.ts'

/** The lines that say something, each with its words one blank apart. */
const lines = (name: string): string[] =>
  readUnits(name)
    .split('\n')
    .filter(line => line.trim() !== '' && !line.startsWith('#'))
    .map(line => line.trim().replace(/\s+/g, ' '))

/** A script of the package, a command a line. */
const script = (name: string): string[] =>
  readUnits(`debian/${name}`)
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map(line => line.trim().replace(/\s+/g, ' '))
    .filter(line => line !== '' && !line.startsWith('#'))

const at = (command: readonly string[], pattern: RegExp): number =>
  command.findIndex(line => pattern.test(line))

t.test('accounts', async t => {
  t.same(lines('sysusers.d/endoreg-provision.conf'), [
    'g endoreg-service 101',
    'u endoreg-service-user 400:endoreg-service "EndoReg API" /var/endoreg-service-user',
    'g sensitiveServices -',
    'm endoreg-service-user sensitiveServices',
    'u admin - "EndoReg administrator"',
    // In no other group, and without a home: what is restored runs as this account.
    'u endoreg-drill - "EndoReg restore drill"',
  ])
})

t.test('folders', async t => {
  const folders = lines('tmpfiles.d/endoreg-provision.conf')
  t.same(folders, [
    'd /etc/secrets 0755 root root',
    // The colons: one that is there stays as it is.
    'd /etc/secrets/vault :0750 :admin :sensitiveServices',
    'd /var/endoreg-service-user 0750 endoreg-service-user endoreg-service',
    'd /run/endoreg 0755 root root',
    'd /var/backups/endoreg 0700 root root',
  ])
  const known = folders.map(line => line.split(' ')[1])
  t.ok(known.includes(defaultOf('ENDOREG_BACKUP_DIR')))
  t.ok(known.includes(defaultOf('ENDOREG_VAULT_FILE').replace(/\/[^/]*$/, '')))
})

t.test('what is enabled', async t => {
  const preset = lines('system-preset/80-endoreg-provision.preset')
  t.same(preset, [
    'enable postgres-endoreg-setup.service',
    'enable endo-api-boot.service',
    'enable endo-api.service',
    'enable endoreg-backup.timer',
    'enable endoreg-restore-drill.timer',
    'disable endoreg-rotate-password.timer',
  ])
  const installable = unitNames().filter(name => parseUnit(readUnits(name)).has('Install.WantedBy'))
  t.same(preset.map(line => line.split(' ')[1]).sort(), installable, 'each unit that can be enabled is in it')
  const install = script('postinst')
  const [, presets = ''] =
    /^for unit in (.*); do$/.exec(install.find(line => line.startsWith('for ')) ?? '') ?? []
  t.same(
    presets.split(' '),
    preset.flatMap(line => (line.startsWith('enable ') ? [line.slice(7)] : [])),
  )
})

t.test('what is added to units of others', async t => {
  for (const unit of ['postgresql.service', 'postgresql@.service'])
    t.same(
      lines(`${unit}.d/endoreg-provision.conf`),
      ['[Unit]', 'OnFailure=endoreg-alert@%N.service'],
      `${unit}: somebody is told`,
    )
})

t.test('an installation', async t => {
  const install = script('postinst')
  const steps = [
    /^set -e$/,
    /^configure\)$/,
    /^systemd-sysusers endoreg-provision\.conf$/,
    // The folders belong to the accounts.
    /^systemd-tmpfiles --create endoreg-provision\.conf \|\| \[ \$\? -eq 73 \]$/,
    /^mkdir -p -m 0700 "\$state"$/,
    // What was preset once stays as the operator has it.
    /^grep -qsx "\$unit" "\$known" && continue$/,
    /^systemctl preset "\$unit"$/,
    /^echo "\$unit" >>"\$known"$/,
    /^if \[ -d \/run\/systemd\/system \]; then systemctl daemon-reload; fi$/,
  ]
  const places = steps.map(step => at(install, step))
  t.notOk(places.includes(-1), 'every step is there')
  t.same(
    places,
    [...places].sort((one, other) => one - other),
    'in this order',
  )
  t.notMatch(install.join('\n'), /systemctl (?:re)?start/, 'nothing starts before its settings are there')
  t.equal(
    install.find(line => line.startsWith('state=')),
    `state=${defaultOf('ENDOREG_STATE_DIR')}`,
  )
})

t.test('a removal', async t => {
  const remove = script('prerm')
  t.equal(remove[0], 'set -e')
  const listed = (name: string): string[] => {
    const [, list = ''] =
      new RegExp(`^${name}='(.*)'$`).exec(remove.find(line => line.startsWith(name)) ?? '') ?? []
    return list.split(' ')
  }
  const timers = unitNames().filter(name => name.endsWith('.timer'))
  t.same(listed('timers').sort(), timers)
  // Whoever needs another unit goes before it.
  t.same(listed('services'), ['endo-api.service', 'endo-api-boot.service', 'postgres-endoreg-setup.service'])
  const condition = at(remove, /^if \[ "\$1" = remove \]; then$/)
  const stop = at(
    remove,
    /^systemctl stop \$timers endoreg-backup\.service endoreg-restore-drill\.service \$services$/,
  )
  const disable = at(remove, /^systemctl --quiet disable \$timers \$services$/)
  const forget = at(remove, /^rm -f \/var\/lib\/endoreg-provision\/units$/)
  t.ok(condition > 0 && condition < stop && stop < disable && disable < forget, 'an update stops nothing')
})

t.test('what even a purge leaves', async t => {
  const purge = script('postrm')
  const deletes = purge.filter(line => /\brm(?:dir)?\b|-delete\b/.test(line))
  t.same(deletes, [
    'rm -rf /var/cache/endoreg-provision',
    // Which follows no link at the end of its path: the folder above is the account prometheus's.
    "find /var/lib/prometheus/node-exporter -maxdepth 1 -name 'endoreg_*.prom' -type f -delete 2>/dev/null || :",
    'rm -f /var/lib/endoreg-provision/units /var/lib/endoreg-provision/maintenance.lock',
    'rmdir --ignore-fail-on-non-empty /etc/endoreg /var/lib/endoreg-provision 2>/dev/null || :',
  ])
  const condition = at(purge, /^if \[ "\$1" = purge \]; then$/)
  t.ok(condition > 0 && condition < at(purge, /^rm /), 'a removal leaves all of it')
  t.notMatch(purge.join('\n'), /unlink|userdel|deluser|groupdel/)
})

t.test('the settings file', async t => {
  t.same(
    lines('debian/conffiles'),
    ['/etc/endoreg/provision.env'],
    "an update asks before it replaces a host's own",
  )
  t.same(lines('provision.env'), [], 'nothing is set in it')
})

t.test('what the package needs', async t => {
  t.match(lines('debian/control').join('\n'), /^Depends: nodejs \(>= 18\), systemd \(>= 252\)$/m)
})
