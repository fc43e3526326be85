import { isIPv4, isIPv6 } from 'node:net'

/** An IP address as bytes, 4 or 16. */
type Bytes = readonly number[]

/** The bytes of an address in its usual writing; undefined of anything else. The zone of one of IPv6 does not count. */
export function parseAddress(text: string): Bytes | undefined {
  if (isIPv4(text)) return text.split('.').map(Number)
  return isIPv6(text) ? parseIpv6(text.replace(/%.*$/s, '')) : undefined
}

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
