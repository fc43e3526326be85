/** What stands in the place of a secret. */
const GONE = '[removed]'

/** What looks like a secret wherever it stands, whether or not we know it; the first group stays. */
const PATTERNS: readonly RegExp[] = [
  // Verifiers of PostgreSQL.
  /()SCRAM-SHA-256\$\d+:[^\s'"]+/g,
  /()\bmd5[0-9a-f]{32}\b/g,
  // ALTER ROLE ... PASSWORD '...', with doubled quotes inside, or dollar-quoted.
  /(\bpassword\s+e?)'(?:[^']|'')*'/gi,
  /(\bpassword\s+)\$(\w*)\$[\s\S]*?\$\2\$/gi,
  // PGPASSWORD=..., password: ..., ldapbindpasswd="...", API_TOKEN=...: to the end of the word or of the quotes, which may be escaped.
  /([\w-]*(?:passw(?:or)?d|passphrase|secrets?|token)[\w-]*(?:\\?["'])?\s*[=:]\s*)(?:(\\?["'])(?:(?!\2)[\s\S])*\2|[^\s"',;&\\]+)/gi,
  // Private keys.
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|$)/g,
  // Credentials in addresses.
  /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]+@/gi,
]
/** Names that end in "file" say where a secret is, not what it is. */
const PLACE = /(?:file|path|encryption|managedby)["']?\s*[=:]\s*$/i

/** A base64 text of `secret` wherever in another text it stood: three shifts, less what its neighbours share. */
function inBase64(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [0, 1, 2].flatMap(shift => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    const rest = (shift + bytes.length) % 3
    const inner = encoded.slice(Math.ceil((shift * 4) / 3), rest === 0 ? undefined : -1)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/** Shorter parts would take words away that only look like it. */
const SHORTEST = 6

/** A function that takes `secrets`, in every usual writing, and what looks like one out of a text. */
export function scrubber(secrets: readonly string[]): (text: string) => string {
  const writings = secrets
    .flatMap(secret => [
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString('hex'),
      ...inBase64(secret),
    ])
    .filter(writing => writing.length >= SHORTEST)
    .sort((one, other) => other.length - one.length)
  return text => {
    const known = [...new Set(writings)].reduce((rest, writing) => rest.replaceAll(writing, GONE), text)
    return PATTERNS.reduce(
      (rest, pattern) =>
        rest.replace(pattern, (all: string, kept: string) => (PLACE.test(kept) ? all : `${kept}${GONE}`)),
      known,
    )
  }
}
