import type { Disk } from '../facts/disks.ts'
import type { Facts } from '../facts/gather.ts'
import { type Part, Parts } from './part.ts'

const GIB = 1024 ** 3
/** Less than both is little: of a large disk a small share is still a lot. */
const LITTLE = { share: 0.1, bytes: 5 * GIB }
/** PostgreSQL stops when the disk of its log of changes is full, and the vault cannot be written. */
const NOTHING = 0.01

/** Free space where data, write-ahead log and vault live. */
export function diskFindings({ disks }: Facts): Part {
  const part = new Parts()
  if (!disks.known) {
    part.blind('free space', disks)
    return part
  }
  for (const disk of disks.value) {
    const { path, holds, free, size, freeInodes, inodes } = disk
    const share = Math.min(size > 0 ? free / size : 1, inodes > 0 ? freeInodes / inodes : 1)
    if (share >= LITTLE.share || (free >= LITTLE.bytes && share >= NOTHING)) {
      part.good(`there is space for ${holds}: ${describe(disk)}`)
      continue
    }
    part.find({
      id: 'disk-full',
      severity: share < NOTHING ? 'error' : 'warning',
      subject: path,
      seen: `the disk of ${holds} has ${describe(disk)} left`,
      meaning: 'PostgreSQL stops when it is full, and no password can be written',
      remedy: `free some space: df -h ${path}; df -i ${path}`,
    })
  }
  return part
}

function describe({ free, size, freeInodes, inodes }: Disk): string {
  const share = (part: number, whole: number): string =>
    `${whole > 0 ? Math.floor((part / whole) * 100) : 100} %`
  return `${(free / GIB).toFixed(1)} GiB (${share(free, size)}) and ${share(freeInodes, inodes)} of the inodes`
}
