import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import t from 'tap'
import { readTrustedFile } from '../../lib/host/configuration-file.ts'
import { readEnvFile } from '../../lib/host/settings-file.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, scratch } from '../support/scratch.ts'

const read = (path: string): string | undefined => readTrustedFile(path, 'read the file', false)
const openHandles = (): number => readdirSync('/proc/self/fd').length

t.test('only a regular file of a bounded size is read', t => {
  const top = scratch(t)
  const file = join(top, 'file')
  const before = openHandles()
  writeFileSync(file, 'text\n')
  t.equal(read(file), 'text\n')
  t.equal(read(relative(process.cwd(), file)), 'text\n', 'a relative path as well')
  t.equal(read('/dev/null'), '')
  execFileSync('mkfifo', [join(top, 'pipe')])
  for (const path of [join(top, 'pipe'), top, '/dev/zero'])
    t.throws(() => read(path), {
      code: 78,
      message: `read the file ${path}`,
      reason: 'it is not a regular file',
    })
  t.throws(() => read(`${file}/below`), { code: 78 }, 'a file is no folder')
  t.throws(() => read(join(top, 'none')), { code: 78, reason: 'there is no such file' })
  t.throws(() => read(join(top, 'none/none')), { code: 78, reason: 'there is no such file' })
  for (const path of ['none', 'none/none'])
    t.equal(readTrustedFile(join(top, path), 'read the file', true), undefined, 'one that may be missing')
  writeFileSync(file, 'x'.repeat(1_048_576))
  t.equal(read(file)?.length, 1_048_576)
  writeFileSync(file, 'x'.repeat(1_048_577))
  t.throws(() => read(file), { code: 78, reason: 'it is larger than 1048576 bytes' })
  writeFileSync(file, Buffer.from([0xc3]))
  t.throws(() => read(file), { code: 78, reason: 'it is not valid UTF-8' })
  t.equal(openHandles(), before, 'every handle is closed')
  t.end()
})

t.test('root follows as many links as the system would', needsRoot, t => {
  const top = scratch(t)
  writeFileSync(join(top, '0'), 'text')
  for (let link = 1; link <= 41; link++) symlinkSync(String(link - 1), join(top, String(link)))
  const before = openHandles()
  t.equal(read(join(top, '40')), 'text')
  t.throws(() => read(join(top, '41')), { code: 78, reason: 'round in a circle' })
  symlinkSync('none', join(top, 'dangling'))
  t.throws(() => read(join(top, 'dangling')), { code: 78, reason: 'there is no such file' })
  t.equal(readTrustedFile(join(top, 'dangling'), 'read the file', true), undefined)
  mkdirSync(join(top, 'folder'))
  symlinkSync('../0', join(top, 'folder/up'))
  t.equal(read(join(top, 'folder/up')), 'text', 'relative to where the link is')
  symlinkSync(join(top, 'folder/up'), join(top, 'absolute'))
  t.equal(read(join(top, 'absolute')), 'text')
  t.equal(openHandles(), before)
  t.end()
})

t.test('root trusts a file by its owner and mode, and by every folder and link on the way', needsRoot, t => {
  const { uid, gid } = accountOf('stranger')
  const written = { code: 78, reason: 'another account than root can write it', hint: 'chown root' }
  const replaced = { code: 78, reason: 'another account than root can put another file in the place of' }
  const top = scratch(t)
  const [folder, file, link] = [join(top, 'folder'), join(top, 'folder/file'), join(top, 'folder/link')]
  mkdirSync(folder)
  writeFileSync(file, 'text')
  symlinkSync('file', link)
  const cases: readonly [
    owner: number,
    mode: number,
    folderOwner: number,
    folderMode: number,
    expected: object | undefined,
  ][] = [
    [0, 0o644, 0, 0o755, undefined],
    [0, 0o444, 0, 0o755, undefined],
    [0, 0o664, 0, 0o755, written],
    [0, 0o646, 0, 0o755, written],
    [uid, 0o644, 0, 0o755, written],
    [uid, 0o400, 0, 0o755, written],
    [0, 0o644, uid, 0o755, replaced],
    [0, 0o644, 0, 0o775, replaced],
    [0, 0o644, 0, 0o757, replaced],
    [0, 0o644, uid, 0o1755, replaced],
  ]
  for (const [owner, mode, folderOwner, folderMode, expected] of cases) {
    chownSync(file, owner, gid)
    chmodSync(file, mode)
    chownSync(folder, folderOwner, gid)
    chmodSync(folder, folderMode)
    for (const path of [file, link]) {
      const name = `${path}: ${owner} ${mode.toString(8)} in ${folderOwner} ${folderMode.toString(8)}`
      if (!expected) t.equal(read(path), 'text', name)
      else t.throws(() => read(path), /read the file/, name)
      if (expected === written) t.throws(() => read(path), written, name)
      if (expected === replaced) t.throws(() => read(path), replaced, name)
    }
  }
  chownSync(folder, 0, 0)
  chmodSync(folder, 0o1777)
  chownSync(file, 0, 0)
  chmodSync(file, 0o644)
  t.equal(read(file), 'text', "a file of root's in a sticky folder")
  t.throws(() => read(link), replaced, 'but no link there')
  chownSync(file, uid, gid)
  t.throws(() => read(file), replaced, 'and no file of somebody')
  t.end()
})

t.test('what is wrong with a settings file is said, and a bug is one', t => {
  const top = scratch(t)
  writeFileSync(join(top, 'x.env'), 'A=1\nexport ENDOREG_DB_NAME="x y"\nPGHOST\n')
  const file = join(top, 'x.env')
  const found = readEnvFile({}, file)
  t.same(found.variables, [
    ['A', { value: '1', from: file }],
    ['ENDOREG_DB_NAME', { value: 'x y', from: file }],
  ])
  t.same(found.problems, [`PGHOST (${file}, line 3) has no = behind it`])
  t.equal(found.failure, undefined)
  const missing = readEnvFile({ ENDOREG_ENV_FILE: join(top, 'none') }, undefined)
  t.match(missing, { variables: [], problems: [/none: there is no such file$/], failure: { code: 78 } })
  t.end()
})
