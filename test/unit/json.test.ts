import t from 'tap'
import { parseJson, parseTyped } from '../../lib/frame/json.ts'
import { Random } from '../support/random.ts'

/** Texts that are no JSON, and what is said of them. */
const WRONG: readonly [text: string, says: string][] = [
  ['', 'line 1, column 1: expected a value'],
  ['  \n ', 'line 2, column 2: expected a value'],
  ['{', 'line 1, column 2: expected a name in double quotes or }'],
  ['{"a": 1,\n  "b": 2,\n}', 'line 3, column 1: expected a name in double quotes'],
  ['{"a": 1\n "b": 2}', 'line 2, column 2: expected a comma or }'],
  ["{'a': 1}", 'line 1, column 2: expected a name in double quotes or }'],
  ['{a: 1}', 'line 1, column 2: expected a name in double quotes or }'],
  ['{"a" 1}', 'line 1, column 6: expected a colon'],
  ['{"a": }', 'line 1, column 7: expected a value'],
  ['{"a": True}', 'line 1, column 7: expected a value'],
  ['{"a": 01}', 'line 1, column 7: expected a value'],
  ['{"a": "b\n"}', 'line 1, column 7: expected a value'],
  ['{"a": "secret}', 'line 1, column 7: expected a value'],
  ['{"a": "\\x"}', 'line 1, column 7: expected a value'],
  ['[1, 2,\r\n]', 'line 2, column 1: expected a value'],
  ['[1 2]', 'line 1, column 4: expected a comma or ]'],
  ['[1}', 'line 1, column 3: expected a comma or ]'],
  ['[', 'line 1, column 2: expected a value or ]'],
  ['{"a": [{"b": null}]} x', 'line 1, column 22: expected nothing more'],
  ['// words\n{}', 'line 1, column 1: expected a value'],
]
t.test('what is no JSON is said with line and column, and nothing of it is quoted', async t => {
  for (const [text, says] of WRONG) {
    t.throws(() => parseJson(text), { name: 'SyntaxError', message: `it is no JSON: ${says}` }, text)
    const error = t.throws(() => parseJson(text))
    t.equal(error instanceof Error && error.message, `it is no JSON: ${says}`)
  }
})

t.test('a name that stands twice', async t => {
  const text = '{"a": {"b": 1, "c": 2},\n "b": [{"b": 1}, {"b": 2}], "a": 1}'
  t.throws(() => parseTyped(text), {
    message: 'it says something twice: line 2, column 29: expected another name',
  })
  t.same(parseJson(text), JSON.parse(text))
  t.throws(() => parseTyped('{"a": 1, "\\u0061": 1}'), { message: /column 10/ })
  t.same(parseTyped(' {"a": {"a": []}}\n'), { a: { a: [] } })
})

t.test('each text is JSON or has a place where it stops to be', async t => {
  const random = new Random(16)
  const whole = JSON.stringify(
    { a: [1, -2.5e3, 'x"\\\u2028', true, null, {}, []], b: { c: { d: [[]] } } },
    undefined,
    1,
  )
  t.same(parseJson(whole), JSON.parse(whole))
  const unsaid: string[] = []
  for (let number = 0; number < 3000; number++) {
    const at = random.below(whole.length)
    const changed = `${whole.slice(0, at)}${random.pick(['', ...'{}[],:"\\ 0.-et'])}${whole.slice(at + 1)}`
    const said = attempt(parseJson, changed)
    if (!said.startsWith('it is no JSON: ') && said !== attempt(JSON.parse, changed)) unsaid.push(changed)
  }
  t.strictSame(unsaid, [])
})

/** What it says, or why it says nothing. */
function attempt(parse: (text: string) => unknown, text: string): string {
  try {
    return JSON.stringify(parse(text))
  } catch (error) {
    return error instanceof SyntaxError ? error.message : `a bug: ${String(error)}`
  }
}
