/** An entry of the journal: its fields, such as MESSAGE, PRIORITY and _BOOT_ID. */
export type JournalEntry = Readonly<Record<string, string>>

/** A field that is not plain text is a list of bytes; one that occurs more than once a list of these. */
type Value = string | null | readonly number[] | readonly (string | readonly number[])[]

/** What `journalctl --output=json` prints. */
export function parseJournal(text: string): JournalEntry[] {
  return text.split('\n').filter(Boolean).map(parseEntry)
}

function parseEntry(line: string): JournalEntry {
  const fields: Record<string, Value> = JSON.parse(line)
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, asText(value)]))
}

function asText(value: Value): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  return isBytes(value) ? Buffer.from(value).toString() : value.map(asText).join('\n')
}

const isBytes = (value: readonly unknown[]): value is readonly number[] => typeof value[0] === 'number'
