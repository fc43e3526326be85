import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  besideName,
  inspectData,
  moveFolders,
  parseBeside,
  setAside,
  stampOf,
} from '../../lib/reset/folders.ts'

const STAMP = '2026-11-25T01-30-43Z'

t.test('names beside a data folder', async t => {
  t.equal(stampOf(new Date('2026-11-25T01:30:43.999Z')), STAMP)
  const name = besideName('main', 'before-reset', STAMP)
  t.equal(name, `main.before-reset-${STAMP}`)
  t.same(parseBeside('main', name), { name, kind: 'before-reset', stamp: STAMP })
  for (const other of [
    'main',
    'main.before-reset-',
    `main.before-reset-${STAMP}.old`,
    `main.somehow-${STAMP}`,
    `other.before-reset-${STAMP}`,
    `.main.before-reset-${STAMP}`,
    `main.before-reset-${STAMP}\n`,
  ]) {
    t.equal(parseBeside('main', other), undefined, JSON.stringify(other))
  }
  const odd = besideName('a.before-reset-b', 'new', STAMP)
  t.equal(parseBeside('a.before-reset-b', odd)?.kind, 'new')
})

t.test('what was set aside, the newest first', async t => {
  const names = [
    'main.before-reset-2026-01-01T00-00-00Z',
    'main.new-2026-04-01T00-00-00Z',
    'main.before-undo-2026-03-01T00-00-00Z',
    'main.purged-2026-05-01T00-00-00Z',
    'main.before-reset-2026-02-01T00-00-00Z',
  ].flatMap(name => parseBeside('main', name) ?? [])
  t.same(
    setAside(names).map(({ name }) => name),
    [
      'main.before-undo-2026-03-01T00-00-00Z',
      'main.before-reset-2026-02-01T00-00-00Z',
      'main.before-reset-2026-01-01T00-00-00Z',
    ],
  )
})

t.test('folders are moved together or not at all', async t => {
  const folder = t.testdir({ main: { old: '' }, fresh: { new: '' } })
  moveFolders.here(folder, [
    ['main', 'aside'],
    ['fresh', 'main'],
  ])
  t.same(readdirSync(folder).sort(), ['aside', 'main'])
  t.ok(existsSync(join(folder, 'main/new')))

  const back = (): void =>
    moveFolders.here(folder, [
      ['main', 'away'],
      ['gone', 'main'],
    ])
  t.throws(back, { message: /rename .*gone to main/ })
  t.same(readdirSync(folder).sort(), ['aside', 'main'], 'the first one has its name back')

  mkdirSync(join(folder, 'taken'))
  t.throws(() => moveFolders.here(folder, [['main', 'taken']]), { code: 73 })
  t.throws(() => moveFolders.here(join(folder, 'nowhere'), [['main', 'away']]), { code: 73 })
  t.same(readdirSync(folder).sort(), ['aside', 'main', 'taken'])
})

t.test('what a data folder is', async t => {
  const folder = t.testdir({
    main: { PG_VERSION: '15\n', 'postmaster.pid': '4711\n/somewhere\n', pg_tblspc: {} },
    [`main.before-reset-${STAMP}`]: { PG_VERSION: '15\n' },
    [`main.new-${STAMP}`]: {},
    [`main.before-undo-${STAMP}`]: 'a file',
    'main.else': { PG_VERSION: '15\n' },
  })
  const main = join(folder, 'main')
  symlinkSync('/srv/space', join(main, 'pg_tblspc/16384'))
  symlinkSync('/srv/wal', join(main, 'pg_wal'))
  symlinkSync('main', join(folder, 'link'))
  t.match(inspectData.here(main), {
    state: 'folder',
    pid: 4711,
    wal: '/srv/wal',
    tablespaces: ['/srv/space'],
    movable: true,
    beside: [
      { name: `main.before-reset-${STAMP}`, kind: 'before-reset', major: 15 },
      { name: `main.new-${STAMP}`, kind: 'new', major: null },
    ],
  })
  t.equal(inspectData.here(main).beside.length, 2)
  t.equal(inspectData.here(join(folder, 'link')).state, 'link')
  t.equal(inspectData.here(join(folder, 'gone')).state, 'missing')
  t.equal(inspectData.here(join(folder, 'gone/main')).state, 'missing')
  t.equal(inspectData.here(join(main, 'PG_VERSION')).state, 'no folder')
  t.equal(inspectData.here('/proc').state, 'mount point')
})
