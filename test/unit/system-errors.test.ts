import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import t from 'tap'
import { doing, Failure, reasonOf, systemError, systemFailure } from '../../lib/frame/failure.ts'
import { sentences } from '../../lib/frame/text.ts'

t.test('what the system says is told in words, with the folder that it is about', async t => {
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  t.throws(() => doing('write /srv/state/reset.json', () => writeSync(full, 'x')), {
    code: 74,
    message: 'write /srv/state/reset.json',
    reason: 'no space left on the device',
    hint: 'Free some space or inodes (df -h /srv/state; df -i /srv/state) and run it again; nothing was lost.',
  })
  t.match(systemFailure(systemError('ENOSPC'), 'make a backup'), { hint: /\(df -h; df -i\)/ })
  for (const code of [
    'EROFS',
    'EDQUOT',
    'EIO',
    'EMFILE',
    'ENFILE',
    'ENAMETOOLONG',
    'ELOOP',
    'ENOTDIR',
    'ESTALE',
    'ENOMEM',
    'EFBIG',
  ]) {
    const failure = systemFailure(systemError(code), 'read /x')
    t.ok(failure instanceof Failure && !`${failure.reason} ${failure.hint}`.includes(code), code)
  }
})

t.test('a word of the system that is not foreseen comes with what it means', async t => {
  const folder = t.testdir()
  t.throws(() => doing('read it', () => readFileSync(`${folder}/x\0`)), { code: 74 })
  const rare = systemError('EXDEV', "EXDEV: cross-device link not permitted, rename '/a' -> '/b'")
  t.match(systemFailure(rare, 'rename it'), { reason: 'cross-device link not permitted (EXDEV)' })
  t.match(systemFailure(systemError('ENOANO'), 'do it'), { reason: 'the system answered ENOANO' })
})

t.test('why something failed', async t => {
  t.equal(reasonOf(new Failure(74, { message: 'do it', cause: 'so', hint: 'Mend it.' })), 'so')
  t.equal(
    reasonOf(systemError('ENOTDIR', 'ENOTDIR: not a directory, open')),
    'a part of the path is not a folder',
  )
  t.equal(reasonOf(new Error('plain')), 'plain')
  t.equal(reasonOf('thrown'), 'thrown')
})

t.test('sentences have one full stop each', async t => {
  t.equal(sentences('It is so', 'Mend it'), 'It is so. Mend it')
  t.equal(sentences('It is so.', 'Mend it.'), 'It is so. Mend it.')
  t.equal(sentences('Is it so?', '', 'Mend it.'), 'Is it so? Mend it.')
})
