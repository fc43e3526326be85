import t from 'tap'
import { bytesOf } from '../../lib/server/access/regex/compile.ts'
import { findMatch, type Span } from '../../lib/server/access/regex/match.ts'
import { parseRegex } from '../../lib/server/access/regex/parse.ts'
import { RegexError } from '../../lib/server/access/regex/source.ts'
import { Host } from '../support/host.ts'
import { choices, Random } from '../support/random.ts'

/** An error, or what was captured, or nothing. */
type Outcome = { readonly error?: string; readonly found?: string | null }

/** What PostgreSQL makes of a pattern and a text. Its regexp_match() takes the same road as an access rule. */
const ATTEMPT = `
CREATE FUNCTION attempt(pattern text, subject text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE found text[];
BEGIN
  found := regexp_match(subject, pattern);
  IF found IS NULL THEN RETURN '{}'; END IF;
  RETURN json_build_object('found', encode(convert_to(found[1], 'SQL_ASCII'), 'hex'));
EXCEPTION WHEN invalid_regular_expression THEN
  RETURN json_build_object('error', replace(SQLERRM, 'invalid regular expression: ', ''));
END $$`

/** Whether this project makes the same of them; or what it makes of them. */
function compare(pattern: string, subject: string, theirs: Outcome): true | Outcome {
  try {
    const node = parseRegex(bytesOf(pattern))
    const text = bytesOf(subject)
    const captured = findMatch(node, text)
    const whole = captured?.get(0)
    if (!whole) return 'error' in theirs || 'found' in theirs ? {} : true
    // Known: where there are references, PostgreSQL mostly misses an empty match at the very end.
    if (node.refers && whole[0] === text.length) return true
    const hex = ([from, to]: Span): string => Buffer.from(text.slice(from, to), 'latin1').toString('hex')
    const group = captured?.get(1)
    // Without any group regexp_match() gives the whole match; one under {0} counts for it.
    const found = [group ? hex(group) : null, ...(node.groups.length > 0 ? [] : [hex(whole)])]
    return found.some(one => one === theirs.found) ? true : { found: found[0] ?? null }
  } catch (problem) {
    if (!(problem instanceof RegexError)) throw problem
    return theirs.error === problem.message ? true : { error: problem.message }
  }
}

t.test('thousands of expressions match and capture as in PostgreSQL', async t => {
  const host = await Host.create(t)
  // The postmaster, which reads the files, knows no encoding.
  await host.cluster.query("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
  const client = await host.cluster.connect('bytes')
  t.teardown(() => client.end())
  await client.query(ATTEMPT)
  const random = new Random(Number(process.env['TEST_SEED'] ?? 1))
  const count = { matched: 0, unmatched: 0, refused: 0, 'refused for something else': 0 }
  for (let round = 0; round < Number(process.env['TEST_ROUNDS'] ?? 12); round++) {
    const pairs = Array.from({ length: 1000 }, () => [pattern(random), subject(random)] as const)
    const { rows } = await client.query<{ outcome: Outcome }>(
      'SELECT attempt(p, s) AS outcome FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (p, s, n) ORDER BY n',
      [pairs.map(([pattern]) => pattern), pairs.map(([, subject]) => subject)],
    )
    rows.forEach(({ outcome: theirs }, index) => {
      const [pattern = '', subject = ''] = pairs[index] ?? []
      const ours = compare(pattern, subject, theirs)
      if (ours === true)
        count['error' in theirs ? 'refused' : 'found' in theirs ? 'matched' : 'unmatched'] += 1
      else if (ours.error !== undefined && 'error' in theirs) count['refused for something else'] += 1
      else t.fail('they differ', { pattern, subject, theirs, ours })
    })
  }
  t.comment(JSON.stringify(count))
  t.ok(Math.min(count.matched, count.unmatched, count.refused) > 1000)
  // One that is wrong in two ways may be refused for the other.
  t.ok(count['refused for something else'] < count.refused / 100)
})

const pattern = (random: Random): string => (random.once(4) ? soup(random) : expression(random, 3))

const subject = (random: Random): string => {
  const character = () => random.pick(['a', 'a', 'a', 'b', 'b', 'c', 'A', 'B', '1', '-', ' ', 'é', '\n', '_'])
  return random.many(0, 9, character).join('')
}

/** An expression that is mostly one that PostgreSQL takes. */
function expression(random: Random, depth: number): string {
  const part = (): string => {
    if (random.once(8)) return random.pick(['^', '$', '\\m', '\\Y', '\\A', '\\Z', '(?=a)', '(?<!b)', ''])
    const quantifier = random.once(2) ? '' : random.pick(QUANTIFIERS)
    if (depth === 0 || random.once(2)) {
      return random.pick(['a', 'b', 'c', '.', '[ab]', '[^a]', '\\w', 'A']) + quantifier
    }
    const inside = expression(random, depth - 1)
    if (random.once(10)) return `${random.pick(['(?=', '(?<=', '(?!'])}${inside})`
    const group = `${random.pick(['(', '(', '(?:'])}${inside})`
    return group + quantifier + (random.once(9) ? random.pick(['\\1', '\\2']) : '')
  }
  const branch = (): string => random.many(1, 3, part).join('')
  return random.many(1, random.once(3) ? 3 : 1, branch).join('|')
}

const QUANTIFIERS = choices('*  +  ?  *?  +?  ??  {2}  {1,2}  {0,2}?  {1}  {0}  {2,}  {1,1}?')

/** Something that may be no expression at all. */
const soup = (random: Random): string => random.many(1, 7, () => random.pick(SOUP)).join('')

const SOUP: readonly [string, ...string[]] = [
  ' ',
  '\n',
  ...choices(String.raw`
    a  b  c  A  é  1  8  ,  -  #  .  ^  $  |  \  (  )  (?:  (?=  (?!  (?<=  (?<!  (?i)  (?x)  (?q)  (?n)  (?w)
    (?p)  (?#a)  *  +  ?  *?  +?  ??  {  }  {1,2}  {2}  {0,1}?  {3  {,  {256}  [  ]  [^  [a-c]  [c-a]
    [[:alpha:]]  [[:word:]]  [^[:upper:]]  [[:  :]  [=a=]  [.a.]  .]  [\d  [[:<:]]  [[:>:]]  ***:  ***=
    \d  \D  \s  \w  \W  \1  \2  \8  \10  \m  \M  \y  \Y  \A  \Z  \x61  \141  \0  \u0062  \xc3  \cA  \B  \e  \z`),
]
