import { spawnSync } from 'node:child_process'
import t from 'tap'
import { correct, DESIRED } from '../support/db-yaml.ts'

// The API reads db.yaml with PyYAML; Debian has it for its own Python.
const PYTHON = '/usr/bin/python3'
const SCRIPT = 'import json, sys, yaml; print(json.dumps([yaml.safe_load(x) for x in json.load(sys.stdin)]))'
const there = spawnSync(PYTHON, ['-c', 'import yaml']).status === 0

const NAMES = [
  'yes No ON off y n true NULL ~ 1_000 010 0b1 0x1F 1e3 1:20 .inf 2030-01-31 = a-b a.b'.split(' '),
  [
    'a b',
    ' a ',
    'a: b',
    'a #b',
    '#a',
    "it's",
    '"',
    '\\',
    'ä🔑',
    'a\u2028b',
    '\ufeff',
    '{a}',
    '[',
    '%a',
    '@a',
    '`a',
    ',',
  ],
].flat()
const TEXTS = [
  'user: yes\nport: 010\n',
  '{host: other}\n',
  'base: &base {user: other}\n<<: *base\n',
  'host: !!int other\n',
  'host:\n- a\n...\n',
]

t.test('PyYAML reads what is written', { skip: there ? false : `${PYTHON} has no module yaml` }, async t => {
  const cases = NAMES.flatMap(name => [undefined, ...TEXTS].map(text => ({ text, user: name })))
  const corrected = cases.map(({ text, user }) => correct(text, { ...DESIRED, user }).text)
  const { status, stdout, stderr } = spawnSync(PYTHON, ['-c', SCRIPT], {
    input: JSON.stringify(corrected),
    encoding: 'utf8',
  })
  t.equal(status, 0, stderr)
  const read: unknown[] = JSON.parse(stdout)
  t.equal(read.length, cases.length)
  for (const [index, { user }] of cases.entries()) t.match(read[index], { ...DESIRED, user }, `case ${index}`)
})
