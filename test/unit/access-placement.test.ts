import t from 'tap'
import { blockOf, lineOf, placeFor, splitBlock, standing } from '../../lib/server/access/placement.ts'
import type { Rule } from '../../lib/server/access/rules.ts'

const BLOCK = blockOf(['local all all peer'])

/** The line above which the block comes, counted without it; undefined for the end. */
function above(text: string, taken?: number): number | undefined {
  const split = splitBlock(text)
  const { at } = placeFor(split, taken)
  return at === split.rest.length ? undefined : lineOf(split.rest, at)
}

t.test('as far down as possible, and above what is in the way', async t => {
  t.equal(above('a\nb\n'), undefined)
  t.equal(above('a\nb\n', 2), 2)
  t.equal(above('a\n# of b\nb\n', 3), 2, 'with its comment')
  t.equal(above('# of all\n\na\n', 3), 3)
})

t.test('a block that stands stays, where nothing above it is in the way', async t => {
  const text = `a\n${BLOCK}b\nc\n`
  t.equal(above(text), 2)
  t.equal(above(text, 5), 2, 'b is behind it')
  t.equal(above(text, 1), 1, 'a is not')
})

t.test('of the rules of others those from a line on come behind', async t => {
  const line = (text: string, taken?: number): number => placeFor(splitBlock(text), taken).line
  t.equal(line('a\nb\n'), Number.POSITIVE_INFINITY)
  t.equal(line('a\n# of b\nb\n', 3), 3)
  t.equal(line(`a\n${BLOCK}b\n`), 2)
  t.equal(line(`a\n${BLOCK}b\n`, 1), 1)
})

t.test('lines of a block that stands do not count', async t => {
  // Of two blocks the second is a copy, and is taken out.
  t.equal(above(`${BLOCK}a\n${BLOCK}b\nc\n`), 1)
  t.equal(above(`a\nb\n${BLOCK}c\n`, 2), 2)
})

const rule = (file: string, line: number): Rule => ({
  file,
  line,
  type: 'local',
  databases: [],
  roles: [],
  method: 'peer',
  options: [],
})

t.test('a rule of another file stands where that is included', async t => {
  const text = `a\ninclude one\nb\n${BLOCK}include two\n`
  const rules = [rule('/main', 1), rule('/one', 9), rule('/main', 3), rule('/main', 5), rule('/two', 1)]
  t.same(
    standing(rules, '/main', text, splitBlock(text)).map(({ rule, by }) => [rule.file, by]),
    [
      ['/main', 1],
      ['/one', 2],
      ['/main', 3],
      ['/two', 7],
    ],
    'and those of our block are not of others',
  )
})

t.test('of two that are included in a row, a rule counts as of the first', async t => {
  const text = 'include one\ninclude two\na\n'
  t.same(
    standing([rule('/two', 1), rule('/main', 3)], '/main', text, splitBlock(text)).map(({ by }) => by),
    [1, 3],
  )
})
