/** A file of an archive. */
export type Entry = { readonly name: string; readonly text: string }

const BLOCK = 512
/** The name's field ends there; longer ones would need an extension of the format. */
const LONGEST_NAME = 99

/** Numbers are octal digits and a NUL. */
const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`

/**
 * The entries as a tar archive in the ustar format (POSIX.1-2017, pax, "ustar Interchange Format"), regular files of
 * root for their owner only. Written here because the programs and packages for it want files on the disk, and what
 * is to be looked through for secrets should not be there before.
 */
export function tar(entries: readonly Entry[], modified: Date): Buffer {
  const parts = entries.flatMap(({ name, text }) => {
    const bytes = Buffer.from(text)
    return [
      header(name, bytes.length, modified),
      bytes,
      Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK),
    ]
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)])
}

function header(name: string, size: number, modified: Date): Buffer {
  if (Buffer.byteLength(name) > LONGEST_NAME) throw new RangeError(`${name} is too long a name`)
  const block = Buffer.alloc(BLOCK)
  const fields: readonly (readonly [offset: number, text: string])[] = [
    [0, name],
    [100, octal(0o600, 8)],
    [108, octal(0, 8)],
    [116, octal(0, 8)],
    [124, octal(size, 12)],
    [136, octal(Math.floor(modified.getTime() / 1000), 12)],
    // The sum is made with spaces in its own place.
    [148, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\x0000'],
    [265, 'root'],
    [297, 'root'],
  ]
  for (const [offset, text] of fields) block.write(text, offset)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
