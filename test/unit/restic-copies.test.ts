import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { contentIn, copyOf, isWhole, tagsOf } from '../../lib/backup/restic/copies.ts'
import { isUnexplained } from '../../lib/backup/restic/failure.ts'
import { documentIn, packsIn, snapshot } from '../../lib/backup/restic/program.ts'
import { findAddress } from '../../lib/backup/restic/remote.ts'
import { REASONS } from '../../lib/backup/terms.ts'
import { aRun, backup, ownFolder } from '../support/shelf.ts'

const NAME = '2026-11-22T01-02-03Z'
const ID = 'a'.repeat(64)

t.test('which snapshot is a copy of which backup', async t => {
  const one = { id: ID, time: '', hostname: 'h', paths: [`/x/${NAME}`], tags: [...tagsOf('regular')] }
  t.same(copyOf(one), { name: NAME, host: 'h', reason: 'regular', snapshot: ID })
  for (const reason of REASONS) t.equal(copyOf({ ...one, tags: [...tagsOf(reason)] })?.reason, reason)
  t.same(tagsOf('before-reset'), ['endoreg', 'reason=before-reset'])
  const others: Readonly<Record<string, Partial<typeof one>>> = {
    'of two folders': { paths: [`/x/${NAME}`, '/y'] },
    'of the same twice': { paths: [`/x/${NAME}`, `/x/${NAME}`] },
    'of none': { paths: [] },
    'of another folder': { paths: [`/x/${NAME}/y`] },
    'of one being made': { paths: [`/x/.${NAME}.partial`] },
    'without a kind': { tags: ['endoreg'] },
    'of a kind that there is not': { tags: ['endoreg', 'reason=none'] },
  }
  for (const [what, over] of Object.entries(others)) t.equal(copyOf({ ...one, ...over }), undefined, what)
  t.equal(copyOf({ ...one, tags: null }), undefined)
})

const node = (path: string, size: number, type = 'file'): string =>
  JSON.stringify({ struct_type: 'node', type, path, size })

t.test('what is in a copy', async t => {
  const { files, others } = contentIn(
    [
      JSON.stringify({ struct_type: 'snapshot', id: ID }),
      node('/a.dump', 4),
      node('/manifest.json', 9),
      node('/folder', 0, 'dir'),
      node('/folder/b.dump', 5),
      node('/link', 0, 'symlink'),
      'words',
      '',
    ].join('\n'),
  )
  t.same(
    [...files],
    [
      ['a.dump', 4],
      ['manifest.json', 9],
    ],
  )
  t.same(others, ['/folder', '/folder/b.dump', '/link'])
})

t.test('a copy is whole where it has just the files of the backup', async t => {
  const sha256 = '0'.repeat(64)
  const saved = {
    ...backup(NAME, {
      files: [
        { name: 'a', size: 4, sha256 },
        { name: 'b', size: 5, sha256 },
      ],
    }),
    size: 19,
  }
  const whole = (files: Record<string, number>, others: string[] = []): boolean =>
    isWhole({ files: new Map(Object.entries(files)), others }, saved)
  t.ok(whole({ a: 4, b: 5, 'manifest.json': 10 }))
  t.notOk(whole({ a: 4, b: 5, 'manifest.json': 11 }), 'another description')
  t.notOk(whole({ a: 5, b: 4, 'manifest.json': 10 }), 'the same sum')
  t.notOk(whole({ a: 4, 'manifest.json': 15 }), 'a file is missing')
  t.notOk(whole({ a: 4, b: 5, manifest: 10 }), 'no description')
  t.notOk(whole({ a: 4, b: 5, 'manifest.json': 10, c: 0 }), 'a file too many')
  t.notOk(whole({ a: 4, b: 5, 'manifest.json': 10 }, ['/x']), 'something that is no file')
})

t.test('what restic writes, and what is none of it', async t => {
  const made = { id: ID, time: '', hostname: 'h', paths: [] }
  t.same(documentIn(snapshot, JSON.stringify(made)), made)
  t.ok(documentIn(snapshot, JSON.stringify({ ...made, id: 'a'.repeat(8), tags: null, more: 1 })))
  for (const id of ['a'.repeat(7), 'a'.repeat(65), '--help..', 'A'.repeat(64)])
    t.equal(documentIn(snapshot, JSON.stringify({ ...made, id })), undefined, id)
  for (const line of ['{', '', ' {}', 'null']) t.equal(documentIn(snapshot, line), undefined, line)
  t.equal(packsIn('[0:05] 0.00%  0 / 3 packs'), 0)
  t.equal(packsIn('33.33%  1 / 3 packs'), undefined)
})

t.test('when ssh is asked once more', async t => {
  const ended = (...said: string[]) => ({ code: 1, signal: null, out: '', said, stuck: undefined })
  const failed = 'Fatal: unable to start the sftp session, error: EOF'
  t.ok(isUnexplained(ended(failed)))
  t.ok(isUnexplained(ended('subprocess ssh: @@@@@@@@', failed)), 'the frame of what it was to say')
  t.notOk(isUnexplained(ended('subprocess ssh: no', failed)), 'it said why')
  t.notOk(isUnexplained(ended('Fatal: another')))
})

t.test('where the repository is', async t => {
  const find = (text: string) => findAddress(aRun({ RESTIC_REPOSITORY: text }).settings)
  t.equal(findAddress(aRun({}).settings), undefined)
  for (const [text, folder] of [
    ['/srv/r', '/srv/r'],
    ['/srv/r//', '/srv/r'],
    ['/', '/'],
    ['local:/srv/r', '/srv/r'],
    ['sftp:u@h:/r', undefined],
    ['s3:https://h/b', undefined],
    ['rest:https://h/', undefined],
  ] as const) {
    const found = find(text)
    t.equal(found?.folder, folder, text)
    t.same(found?.variable, ['RESTIC_REPOSITORY', text])
  }
  for (const text of ['srv/r', './r', '~/r', 'local:r', 'C:/r'])
    t.throws(() => find(text), { code: 78, reason: /not named from the root/ }, text)
  const file = join(ownFolder(t), 'address')
  const findIn = (text: string) => {
    writeFileSync(file, `${text}\n`, { mode: 0o600 })
    return findAddress(aRun({ RESTIC_REPOSITORY_FILE: file }).settings)
  }
  t.match(findIn('/srv/r/'), {
    shown: `the restic repository of ${file}`,
    variable: ['RESTIC_REPOSITORY_FILE', file],
    folder: '/srv/r',
  })
  t.throws(() => findIn(' '), { code: 78, reason: `${file} is empty` })
  t.same(findIn('rest:https://u:a%2Fb@h/')?.secrets, ['u:a%2Fb', 'a%2Fb', 'a/b'])
  t.same(findIn('rest:https://u:a%zz@h/')?.secrets, ['u:a%zz', 'a%zz', 'a%zz'], 'what cannot be decoded')
  for (const odd of [' ', '/', '?', '#', '@']) {
    t.throws(() => findIn(`rest:https://u:a${odd}b@h/`), { code: 78, reason: /before its last @/ }, odd)
    t.throws(() => findIn(`s3:https://u:a${odd}b@h/`), { code: 78 }, odd)
  }
  t.same(findIn('sftp://u:a/b@h//r')?.secrets, ['u:a/b', 'a/b', 'a/b'], 'others are read to the last @')
  const both = aRun({ RESTIC_REPOSITORY: '/r', RESTIC_REPOSITORY_FILE: '/f' }).settings
  t.throws(() => findAddress(both), { code: 78, reason: /both set/ })
})
