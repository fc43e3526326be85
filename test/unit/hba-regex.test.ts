import t from 'tap'
import { compileRegex } from '../../lib/server/access/regex/compile.ts'

/** An error, no match, or a match and what the first group captured. */
function outcome(pattern: string, text: string): string | undefined | null {
  const regex = compileRegex(pattern)
  if ('error' in regex) return regex.error
  const found = regex.match(text)
  return found ? (found.group ?? '(nothing)') : null
}

t.test('what expressions match and capture', async t => {
  for (const [pattern, text, expected] of [
    // Of several matches PostgreSQL takes the longest, and the first part takes as much of it as it can.
    ['(a|ab)', 'ab', 'ab'],
    ['^(a|ab)(c|bcd)$', 'abcd', 'a'],
    ['(a*)', 'baa', ''],
    ['(a*?)', 'aa', ''],
    ['^(a*?)$', 'aa', 'aa'],
    ['^x*?(a|ab)', 'ab', 'a'],
    ['(?:(a)|b)*', 'ab', '(nothing)'],
    ['(a+)+', 'aaa', 'a'],
    ['(.)\\1', 'abba', 'b'],
    ['(?=(a))a', 'a', '(nothing)'],
    ['(?<=a)b', 'ab', '(nothing)'],
    ['(?<!a)b', 'ab', null],
    ['^[[:alpha:]_]+$', 'a_b', '(nothing)'],
    ['^[^[:upper:]-]+$', 'aB', null],
    ['^[]a-c-]+$', ']-b', '(nothing)'],
    ['^[\\w.]+$', 'a.b_1', '(nothing)'],
    ['[[:<:]]b', 'a b', '(nothing)'],
    ['\\mb\\M', 'abc', null],
    ['^a{2,3}$', 'aaaa', null],
    ['^a{,3}$', 'a{,3}', '(nothing)'],
    ['^\\x61\\142\\u0063$', 'abc', '(nothing)'],
    ['(?i)^A[b]$', 'aB', '(nothing)'],
    ['(?x)^ a b # both\n$', 'ab', '(nothing)'],
    ['^a(?# and )b$', 'ab', '(nothing)'],
    ['***=a.b', 'xa.by', '(nothing)'],
    ['(?q)a.b', 'axb', null],
    ['', 'anything', '(nothing)'],
    // Not read, so nothing is matched.
    ['(?e)a', 'a', null],
    ['[[.hyphen.]]', '-', null],
  ] as const) {
    t.equal(outcome(pattern, text), expected, `${pattern} in ${text}`)
  }
})

t.test('what is none', async t => {
  for (const [pattern, expected] of [
    ['(', 'parentheses () not balanced'],
    ['a)', 'parentheses () not balanced'],
    ['[a', 'brackets [] not balanced'],
    ['*a', 'quantifier operand invalid'],
    ['a**', 'quantifier operand invalid'],
    ['^+', 'quantifier operand invalid'],
    ['a{2,1}', 'invalid repetition count(s)'],
    ['a{256}', 'invalid repetition count(s)'],
    ['a{1', 'braces {} not balanced'],
    ['[b-a]', 'invalid character range'],
    ['[[:letters:]]', 'invalid character class'],
    ['\\', 'invalid escape \\ sequence'],
    ['\\q', 'invalid escape \\ sequence'],
    ['\\1', 'invalid backreference number'],
    ['(?z)a', 'invalid embedded option'],
    ['(?>a)', 'quantifier operand invalid'],
  ] as const) {
    t.equal(outcome(pattern, ''), expected, pattern)
  }
})
