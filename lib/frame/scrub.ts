/** What stands in the place of a secret. */
export const GONE = '[removed]'

/**
 * A word as shells, connection strings and configuration files have it: parts in quotes, which may go over several
 * lines where one begins the word, and what stands right beside them. Where quotes do not end, the rest of the line.
 */
const PART = String.raw`(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\\.|[^\s"'\\])`
const QUOTED = String.raw`(?:"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*')`
const ESCAPED = String.raw`(?:\\"(?:(?!\\")[^])*\\"|\\'(?:(?!\\')[^])*\\')`
const WORD = `(?:${ESCAPED}|${QUOTED}(?:(?![,;:\\])}&|>])${PART}+)?|${PART}+|["'\\\\][^\\n]*)`

/** A part of the names of secrets. */
const SECRET =
  '(?:passw(?:or)?d|passphrase|secrets?|token|cipher[-_]?pass|(?:api|access|account|private|storage|s3|client|server)[-_]?key)'

/** What looks like a secret wherever it stands, whether or not we know it; the first group stays. */
const PATTERNS: readonly RegExp[] = [
  // Verifiers of PostgreSQL.
  /()SCRAM-SHA-256\$\d+:[^\s'"]+/g,
  /()\bmd5[0-9a-f]{32}\b/g,
  // ALTER ROLE ... PASSWORD '...', with doubled quotes inside, or dollar-quoted.
  /(\bpassword\s+e?)'(?:[^']|'')*'/gi,
  /(\bpassword\s+)\$(\w*)\$[\s\S]*?\$\2\$/gi,
  // PGPASSWORD=..., password: ..., ldapbindpasswd="...", API_TOKEN=...
  new RegExp(String.raw`(${SECRET}[\w-]*(?:\\?["'])?\s*[=:]\s*)${WORD}`, 'gi'),
  // --password ..., sshpass -p ..., curl --user NAME:...
  new RegExp(String.raw`((?<![\w-])--(?!no-)[\w-]*${SECRET}[\w-]*\s+)(?!-)${WORD}`, 'gi'),
  new RegExp(String.raw`(\bsshpass\s+-p\s*)${WORD}`, 'gi'),
  /(\s(?:-u|--user|--proxy-user)[=\s]\s*["']?[^\s:"']+:)[^\s"']+/g,
  /(\bauthorization["']?\s*[=:]\s*(?:(?:basic|bearer|digest|token)\s+)?)[^\s"',;]+/gi,
  // Private keys.
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|$)/g,
  // Credentials in addresses; a password that should have been encoded there may have a slash or an at sign.
  /(\b[a-z][a-z0-9+.-]{0,30}:\/\/)(?:[^\s/@'":]*:[^\s'"]*|[^\s/@'"]+)@/gi,
]
/** Such names say where a secret is or what is done with it, not what it is. */
const PLACE = /(?:file|path|encryption|managedby|supports_reload|warnings)["']?\s*[=:\s]\s*$/i

const SECRET_NAME = new RegExp(SECRET, 'i')

/** Whether all that has this name is a secret, such as ssl_passphrase_command or ldapbindpasswd. */
export const isSecretName = (name: string): boolean => SECRET_NAME.test(name) && !PLACE.test(`${name}=`)

const FROM_SECRET = new RegExp(String.raw`(${SECRET}[\w-]*\s*[=:]\s*).*`, 'is')

/** A text up to the first that looks like a secret, for one in which quotes may be lost that said where it ends. */
export const untilSecret = (text: string): string =>
  text.replace(FROM_SECRET, (all: string, kept: string) => (PLACE.test(kept) ? all : `${kept}${GONE}`))

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

/** Keeps the name of a file from being read as that of the secret that follows; in no text of a person or program. */
const APART = '\0'

/** Where a message of ours goes on after one of `paths`, or a folder above one: "cannot read PATH: why". */
function reasonsAfter(paths: readonly string[]): RegExp | undefined {
  const all = paths.flatMap(path =>
    path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/')),
  )
  const places = [...new Set(all)].filter(Boolean).map(path => path.replaceAll(/[^\w/]/g, '\\$&'))
  return places.length > 0
    ? new RegExp(String.raw`(?<![\w/.-])(?:${places.join('|')})(?=: )`, 'g')
    : undefined
}

/**
 * A function that takes `secrets`, in every usual writing, and what looks like one out of a text.
 *
 * @param paths for texts of ours: the files they speak of, after whose names comes the reason and no secret
 */
export function scrubber(
  secrets: readonly string[],
  paths: readonly string[] = [],
): (text: string) => string {
  const reasons = reasonsAfter(paths)
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
    const scrubbed = PATTERNS.reduce(
      (rest, pattern) =>
        rest.replace(pattern, (all: string, kept: string) => (PLACE.test(kept) ? all : `${kept}${GONE}`)),
      reasons ? known.replaceAll(reasons, `$&${APART}`) : known,
    )
    return reasons ? scrubbed.replaceAll(`${APART}: `, ': ') : scrubbed
  }
}
