import { isIPv6 } from 'node:net'

/** An IP address as bytes, 4 or 16. */
export type Bytes = readonly number[]

/** The greatest number that the last of so many parts of an IPv4 address may be, as it stands for the rest. */
const GREATEST = [0xffffffff, 0xffffff, 0xffff, 0xff]

/**
 * The bytes of an address as PostgreSQL reads it, with the system's getaddrinfo(3): one of IPv4 may have fewer
 * than four parts, some of them octal or hexadecimal (inet_aton(3)). The zone of one of IPv6 does not count.
 */
export function parseAddress(text: string): Bytes | undefined {
  const [address = '', zone] = text.split('%', 2)
  if (!isIPv6(address)) return parseIpv4(text)
  return zone === undefined || isZone(zone, address) ? parseIpv6(address) : undefined
}

/** A zone is a number, or of a link-local address the name of an interface, whatever interfaces there are. */
const isZone = (zone: string, address: string): boolean =>
  /^\d+$/.test(zone) ? Number(zone) <= 0xffffffff : zone !== '' && /^(?:fe[89ab]|ff[0-9a-f]2)/i.test(address)

function parseIpv4(text: string): Bytes | undefined {
  const parts = text.split('.')
  if (parts.length > 4 || !parts.every(part => /^(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/i.test(part))) {
    return undefined
  }
  const numbers = parts.map(part => (/^0[0-7]+$/.test(part) ? Number.parseInt(part, 8) : Number(part)))
  const last = numbers.pop() ?? 0
  if (last > (GREATEST[numbers.length] ?? 0) || numbers.some(number => number > 0xff)) return undefined
  const rest = [last >>> 24, (last >>> 16) & 0xff, (last >>> 8) & 0xff, last & 0xff]
  return [...numbers, ...rest.slice(numbers.length)]
}

/** `text` must be a valid address. */
function parseIpv6(text: string): Bytes {
  const [front = [], back] = text.split('::').map(half => half.split(':').filter(Boolean).flatMap(groupBytes))
  if (!back) return front
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back]
}

function groupBytes(group: string): readonly number[] {
  if (group.includes('.')) return group.split('.').map(Number)
  const number = Number.parseInt(group, 16)
  return [number >> 8, number & 0xff]
}

/** The mask of so many bits as a rule has them after a slash, which strtol(3) reads. */
export function parseBits(text: string, length: number): Bytes | undefined {
  const bits = /^[\t-\r ]*[+-]?\d+$/.test(text) ? Number(text) : -1
  return bits >= 0 && bits <= 8 * length ? maskOf(bits, length) : undefined
}

/** A mask of `bits` ones, `length` bytes long. */
export const maskOf = (bits: number, length: number): Bytes =>
  Array.from({ length }, (_, index) => (0xff00 >> Math.min(8, Math.max(0, bits - 8 * index))) & 0xff)

/** Whether both addresses are of one kind and the same where the mask has ones. */
export const isWithin = (address: Bytes, network: Bytes, mask: Bytes): boolean =>
  address.length === network.length &&
  network.every((byte, index) => ((byte ^ (address[index] ?? 0)) & (mask[index] ?? 0)) === 0)

/** The bits of a mask that begins with ones and ends with zeros; undefined of any other. */
export function bitsOf(mask: Bytes): number | undefined {
  const bits = mask.flatMap(byte => Array.from(byte.toString(2).padStart(8, '0')))
  const ones = bits.lastIndexOf('1') + 1
  return bits.slice(0, ones).includes('0') ? undefined : ones
}

/** An address in its usual writing (RFC 5952). */
export function writeAddress(address: Bytes): string {
  if (address.length === 4) return address.join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((address[2 * index] ?? 0) << 8) | (address[2 * index + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
