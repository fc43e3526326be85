import type { Password } from '../frame/password.ts'

const ASCII = /^[\0-\x7f]*$/

/**
 * The bytes PostgreSQL and libpq compute with for `password`: SASLprep (RFC 4013) where it applies, and the
 * plain UTF-8 bytes where it forbids a character (src/common/saslprep.c and scram-common.c fall back so).
 *
 * PostgreSQL looks for forbidden characters and at the directions of writing before it normalises, where the
 * RFC says after. The libraries follow the RFC, and so make another verifier of about one password in a
 * hundred with compatibility characters; hence this one.
 */
export async function prepare(password: Password): Promise<Buffer> {
  const text = password.reveal()
  return Buffer.from(ASCII.test(text) ? text : ((await saslprep(text)) ?? text), 'utf8')
}

/** `text` prepared as PostgreSQL does, or undefined where it may not be. */
async function saslprep(text: string): Promise<string | undefined> {
  // Loaded late: few passwords need the tables.
  const { default: tables } = await import('./saslprep-tables.json', { with: { type: 'json' } })
  const inside = {
    space: membership(tables.space),
    nothing: membership(tables.nothing),
    forbidden: membership(tables.forbidden),
    rightToLeft: membership(tables.rightToLeft),
    leftToRight: membership(tables.leftToRight),
  }
  const mapped = Array.from(text)
    .map(character => (inside.space(character) ? ' ' : character))
    .filter(character => !inside.nothing(character))
  const [first] = mapped
  const last = mapped.at(-1)
  if (first === undefined || last === undefined) return undefined
  if (mapped.some(inside.forbidden)) return undefined
  if (mapped.some(inside.rightToLeft)) {
    if (mapped.some(inside.leftToRight)) return undefined
    if (!inside.rightToLeft(first) || !inside.rightToLeft(last)) return undefined
  }
  return mapped.join('').normalize('NFKC')
}

/** Whether a character is in `table`: lengths in base 36 of stretches of Unicode, by turns outside and inside. */
function membership(table: string): (character: string) => boolean {
  let end = 0
  const ends = table.split(' ').map(length => {
    end += Number.parseInt(length, 36)
    return end
  })
  return character => {
    const code = character.codePointAt(0) ?? 0
    const stretch = ends.findIndex(candidate => code < candidate)
    return stretch % 2 === 1
  }
}
