import t from 'tap'
import { describeShortage, roomFor, walName, walStamp } from '../../lib/reset/make.ts'

const MIB = 1_048_576
const SIZE = { template: 8 * MIB, walSegment: 16 * MIB, minWal: 80 * MIB, databases: 9 }

t.test('what a new cluster and its databases take', async t => {
  const { data, wal } = roomFor(SIZE, false)
  t.same(data, { bytes: (12 * 8 + 2) * MIB, inodes: 12 * 320 })
  t.same(wal, { bytes: (9 * 8 + 2 * 16) * MIB, inodes: 7 })
  t.equal(roomFor({ ...SIZE, databases: 1 }, false).wal.bytes, 80 * MIB, 'what is kept of it at the least')
  t.equal(roomFor({ ...SIZE, walSegment: 64 * MIB }, false).wal.bytes, (9 * 8 + 128) * MIB)
  const left = roomFor(SIZE, true)
  t.equal(left.data.bytes, 9 * 8 * MIB, 'the cluster itself is made')
  t.equal(left.wal.bytes, wal.bytes - 16 * MIB)
})

t.test('whether a file system has it', async t => {
  const space = { path: '/srv', device: 1, free: 100 * MIB, size: 1000 * MIB, freeInodes: 5000, inodes: 9000 }
  const short = (other: Partial<typeof space>) =>
    describeShortage({ ...space, ...other }, { bytes: 100 * MIB, inodes: 5000 })
  t.equal(short({}), undefined)
  t.match(short({ free: 100 * MIB - 1 }), /free where \/srv is, and it takes some 100/)
  t.match(short({ freeInodes: 4999 }), /4999 inodes are free where \/srv is, and it takes some 5000/)
  t.equal(short({ freeInodes: 0, inodes: 0 }), undefined, 'one that counts none')
  t.equal(describeShortage(undefined, { bytes: 1, inodes: 1 }), undefined)
})

t.test('names for WAL that is elsewhere', async t => {
  const first = walName('/srv/pg_wal', '2026-01-01T00-00-00Z')
  t.equal(first, '/srv/pg_wal.since-2026-01-01T00-00-00Z')
  t.equal(walName(first, '2026-02-01T00-00-00Z'), '/srv/pg_wal.since-2026-02-01T00-00-00Z')
  t.equal(walStamp(first), '2026-01-01T00-00-00Z')
  t.equal(walStamp('/srv/pg_wal'), undefined)
})
