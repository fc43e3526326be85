import t from 'tap'
import { DIRECTIVES } from '../support/unit-directives.ts'
import { differences, parseUnit, readUnits, unitNames } from '../support/unit-file.ts'

/** A unit as it ships; its description is for people and may be anything. */
function shipped(name: string): Map<string, readonly string[]> {
  const unit = new Map(parseUnit(readUnits(name)))
  unit.delete('Unit.Description')
  return unit
}

t.test('how a unit file is read', async t => {
  const text = `
# A=comment
[Unit]
After=one.service
 After = two.service  three.service
; B=comment
[Service]
ExecStart=/bin/sh -c '\\
# a comment goes between
  one; \\
  two'
ReadWritePaths=-/a
ReadWritePaths=
ReadWritePaths=-/b
CapabilityBoundingSet=
UMask=0077 # no comment`
  const unit = parseUnit(text)
  t.same(Object.fromEntries(unit), {
    'Unit.After': ['one.service', 'two.service  three.service'],
    'Service.ExecStart': [`/bin/sh -c ' one;  two'`],
    'Service.ReadWritePaths': ['-/b'],
    'Service.CapabilityBoundingSet': [],
    'Service.UMask': ['0077 # no comment'],
  })
  t.throws(() => parseUnit('[Unit]\nAfter'))
})

t.test('what differs from the list', async t => {
  const say = (text: string, name: string, value: string): string[] =>
    differences(parseUnit(text), [[name, value, 'so']])
  t.same(say('[Unit]\nAfter=a b\nAfter=c', 'Unit.After', 'c a b'), [], 'a set, whatever its lines')
  t.same(say('[Service]\nUMask=0077', 'Service.UMask', '0077'), [])
  t.match(say('[Service]\nUMask=0022', 'Service.UMask', '0077'), [/is "0022", not "0077": so/])
  t.match(say('[Service]\nUMask=0077\nUMask=0022', 'Service.UMask', '0077'), [/is "0077\\n0022"/])
  t.match(say('[Service]\nAfter=a', 'Unit.After', 'a'), [
    /Unit\.After=a is missing: so/,
    /Service\.After=a has no/,
  ])
  t.match(say('[Service]\nCapabilityBoundingSet=CAP_CHOWN', 'Service.CapabilityBoundingSet', ''), [
    /"CAP_CHOWN"/,
  ])
  t.same(say('[Service]\nCapabilityBoundingSet=', 'Service.CapabilityBoundingSet', ''), [])
  t.match(say('[Service]', 'Service.CapabilityBoundingSet', ''), [/is missing/])
  t.match(say('[S]\nSystemCallFilter=@a ~@b', 'S.SystemCallFilter', '@a\n~@b'), [/is "@a ~@b"/])
})

t.same(unitNames(), Object.keys(DIRECTIVES).sort(), 'every unit that ships has its list')

for (const [name, wanted] of Object.entries(DIRECTIVES)) {
  t.test(name, async t => {
    const unit = shipped(name)
    t.same(differences(unit, wanted), [])
    const names = wanted.map(([directive]) => directive)
    t.same(names, [...new Set(names)], 'the list names each directive once')
    for (const [directive] of wanted) {
      const without = new Map([...unit].filter(([key]) => key !== directive))
      if (differences(without, wanted).length !== 1) t.fail(`nobody would miss ${directive}`)
    }
    t.match(parseUnit(readUnits(name)).get('Unit.Description')?.join(), /^[A-Z]/)
  })
}
