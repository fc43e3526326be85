import t from 'tap'
import { aboveComment, blockOf, insertBlock, splitBlock } from '../../lib/server/access/placement.ts'

const BLOCK = blockOf(['local all all peer'])

t.test('a block is found again, and the rest is as it was', async t => {
  for (const [before, after] of [
    ['', ''],
    ['# one\n', ''],
    ['', 'host all all all md5\n'],
    ['a\r\n', 'b'],
    ['# BEGIN endoreg-provision\nan end that was lost\n', '# END endoreg-provision\n'],
  ] as const) {
    const text = insertBlock(before + after, BLOCK, before.length)
    t.match(splitBlock(text), { rest: before + after, block: BLOCK, at: before.length }, JSON.stringify(text))
  }
})

t.test('at the end of a file without a newline the block begins a line', async t => {
  t.equal(insertBlock('x', BLOCK, 1), `x\n${BLOCK}`)
})

t.test('a mark alone is a comment', async t => {
  for (const text of ['# BEGIN endoreg-provision\nx\n', 'x\n# END endoreg-provision\n', ''])
    t.match(splitBlock(text), { rest: text, block: undefined, at: text.length })
})

t.test('copies of a block, and those an editor has changed, are blocks', async t => {
  const crlf = BLOCK.replaceAll('\n', '\r\n')
  const indented = BLOCK.replaceAll('#', '  #')
  t.match(splitBlock(`a\n${BLOCK}b\n${crlf}c\n${indented}`), { rest: 'a\nb\nc\n', block: BLOCK, at: 2 })
  t.same([...splitBlock(`a\n${BLOCK}`).lines], [2, 3, 4])
})

t.test('a block of somebody else is none', async t => {
  const other = '# BEGIN endoreg-provision-site\nhost x x ::1/128 md5\n# END endoreg-provision-site\n'
  t.match(splitBlock(other), { rest: other, block: undefined })
})

t.test('a long comment costs no time', async t => {
  const text = '# comment\n'.repeat(100_000)
  t.equal(aboveComment(`x\n${text}`, text.length + 2), 2)
})

t.test('and above the comment of the line', async t => {
  t.equal(aboveComment('a\n\n# one\n# two\nb\n', 15), 3)
  t.equal(aboveComment('# top\n# top\n\n# one\nb\n', 19), 13)
  t.equal(aboveComment('a\nb\n', 2), 2)
  t.equal(aboveComment('# one\nb\n', 6), 0)
})
