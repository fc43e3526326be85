import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tar } from '../../lib/doctor/bundle.ts'

t.test('an archive that tar(1) unpacks', async t => {
  const folder = t.testdir({})
  const file = join(folder, 'x.tar')
  const texts = ['', 'short\n', 'ä'.repeat(256), 'x'.repeat(511), 'x'.repeat(1025)]
  const modified = new Date('2026-01-02T03:04:05Z')
  writeFileSync(
    file,
    tar(
      texts.map((text, index) => ({ name: `folder/${index}.txt`, text })),
      modified,
    ),
  )
  const out = join(folder, 'out')
  mkdirSync(out)
  execFileSync('tar', ['--extract', '--no-same-owner', '--file', file, '--directory', out])
  for (const [index, text] of texts.entries()) {
    const path = join(out, `folder/${index}.txt`)
    t.equal(readFileSync(path, 'utf8'), text)
    t.match(statSync(path), { mode: 0o100600, mtimeMs: modified.getTime() })
  }
  t.throws(() => tar([{ name: 'x'.repeat(100), text: '' }], modified), RangeError)
})
