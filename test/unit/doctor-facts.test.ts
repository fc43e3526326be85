import { once } from 'node:events'
import { chmodSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { gatherTraversals } from '../../lib/doctor/facts/accounts.ts'
import { gatherDisks, gatherForeign } from '../../lib/doctor/facts/host.ts'
import { type Attempt, compare } from '../../lib/doctor/facts/passwords.ts'
import { errnoOf } from '../../lib/frame/failure.ts'
import { Password } from '../../lib/frame/password.ts'
import { Helpers } from '../../lib/host/helpers.ts'
import type { Account } from '../../lib/host/identity.ts'
import { filesOf, measure, readTail } from '../../lib/server/as-postgres.ts'
import type { Problem } from '../../lib/server/connection-terms.ts'
import { loggedIn, notUp, problem, ROLE, refused, up } from '../support/doctor/facts.ts'

/** Nothing here is done by another account. */
const none = new Helpers()
const me = { name: 'me', uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }

t.test('what logins tell of passwords where the verifier cannot be seen', async t => {
  const [vault, other] = [new Password('a'), new Password('b')]
  const unseen = notUp('refused', 'refused by rules', 'peer').server
  const tried = (...attempts: readonly Attempt[]) =>
    compare({ vault, db_pwd: other }, unseen, ROLE, attempts).then(({ vaultIsVerifier }) => vaultIsVerifier)
  const no = (kind: Problem['kind']): Attempt => refused('::1', problem(kind, 'x'))
  t.equal(await tried(loggedIn('::1')), 'same')
  t.equal(await tried(no('wrong password')), 'other password')
  t.equal(await tried(no('wrong password'), loggedIn('127.0.0.1')), 'same', 'one login is enough')
  t.equal(await tried(no('refused by rules')), undefined, 'a rule says nothing of the password')
  t.equal(await tried(), undefined)
  t.equal(await tried(no('unasked')), undefined, 'nor does a server that lets everybody in')
  t.equal(await tried({ ...loggedIn('::1'), with: 'db_pwd' }), undefined, 'nor does another password')
})

t.test('vault and db_pwd are compared with each other, where both are there', async t => {
  const [one, other] = [new Password('a'), new Password('b')]
  const is = async (passwords: Parameters<typeof compare>[0]) =>
    (await compare(passwords, up(), 'nobody-here', [])).copyIsVault
  t.equal(await is({ vault: one, db_pwd: new Password('a') }), true)
  t.equal(await is({ vault: one, db_pwd: other }), false)
  t.equal(await is({ vault: one }), undefined)
  t.equal(await is({ db_pwd: one }), undefined)
  const nobody = await compare({ vault: one, db_pwd: one }, up(), 'nobody-here', [loggedIn('::1')])
  t.equal(nobody.vaultIsVerifier, undefined, 'a role that is missing has none')
  t.equal(nobody.copyIsVerifier, undefined)
})

t.test('the folders on the way to one, and whether somebody could put others in their place', async t => {
  const folder = t.testdir({ open: { inner: { last: {} } }, file: '' })
  chmodSync(join(folder, 'open'), 0o777)
  const { ours } = await gatherTraversals(none, join(folder, 'open/inner/last'), undefined)
  const last = ours?.folders.slice(-3) ?? []
  t.match(
    last.map(({ path, stat }) => [path, stat.mode & 0o777]),
    [[join(folder, 'open'), 0o777], [join(folder, 'open/inner')], [join(folder, 'open/inner/last')]],
  )
  t.same(
    last.slice(1).map(({ safe }) => safe),
    [false, false],
  )
  const end = async (path: string): Promise<unknown> =>
    (await gatherTraversals(none, path, undefined)).ours?.end
  t.equal(await end(folder), undefined)
  t.same(await end(join(folder, 'none/inner')), { path: join(folder, 'none'), closed: false })
  t.same(await end(join(folder, 'file/inner')), { path: join(folder, 'file'), closed: false })
})

t.test('who listens at a port beside the process that is meant', async t => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  // A connection has the same port at its end here, and does not listen.
  const client = connect(port, '127.0.0.1')
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')])
  const found = gatherForeign(port, undefined)
  t.match(found, { known: true, value: { process: { pid: process.pid, name: /./ } } })
  t.same(gatherForeign(port, process.pid), { known: true, value: undefined }, 'itself is nobody else')
  t.same(
    gatherForeign(port, 0),
    { known: true, value: undefined },
    'whose sockets are not to be seen may be it',
  )
  client.destroy()
  accepted.destroy()
  server.close()
  await once(server, 'close')
  t.same(gatherForeign(port, undefined), { known: true, value: undefined }, 'nobody listens any more')
})

t.test('the end of a log begins with a whole line', async t => {
  const folder = t.testdir()
  const tail = (size: number): string => {
    const path = join(folder, 'log')
    writeFileSync(path, `${'x'.repeat(size - 6)}\nlast\n`)
    return readTail.here(path)
  }
  t.equal(tail(65_536).length, 65_536, 'as much as is read, all of it')
  t.equal(tail(65_537), 'last\n', 'one byte more, and the first line is not whole')
  t.equal(tail(7), 'x\nlast\n')
  t.equal(readTail.here(folder), '', 'a folder has none')
  t.equal(readTail.here(join(folder, 'nothing')), '')
})

t.test('files are read up to a size, and each once', async t => {
  const folder = t.testdir()
  const put = (name: string, size: number): string => {
    writeFileSync(join(folder, name), 'x'.repeat(size))
    return join(folder, name)
  }
  const [most, more] = [put('most', 1_048_576), put('more', 1_048_577)]
  const files = filesOf(me, [most, more])
  t.equal(files.read(most).length, 1_048_576)
  const errno = (path: string): string | undefined => {
    try {
      return `${files.read(path).length} bytes`
    } catch (error) {
      return errnoOf(error)
    }
  }
  t.equal(errno(more), 'EINVAL')
  t.equal(errno(folder), 'EISDIR')
  t.equal(errno(join(folder, 'nothing')), 'ENOENT')
  put('nothing', 1)
  t.equal(errno(join(folder, 'nothing')), 'ENOENT', 'as it was at the first look')
  t.same([...files.list(folder)].sort(), ['more', 'most', 'nothing'])
})

t.test('a file system is measured once, and says all that it holds', async t => {
  const folder = t.testdir()
  for (const name of ['data/pg_wal', 'vault']) mkdirSync(join(folder, name), { recursive: true })
  const [data, vault] = [join(folder, 'data'), join(folder, 'vault')]
  const holds = async (
    data: string | undefined,
    postgres: Account | undefined,
    vault: string,
  ): Promise<string[]> => {
    const found = await gatherDisks(none, data, postgres, vault)
    return found.known ? found.value.map(disk => disk.holds) : []
  }
  t.same(await holds(data, me, vault), ['data and write-ahead log and vault'])
  t.same(await holds(undefined, me, vault), ['vault'])
  t.same(await holds(data, undefined, vault), ['vault'])
  t.same(await holds(data, me, join(folder, 'nowhere')), ['data and write-ahead log'])
  const [space] = measure.here([folder])
  const { blocks, bsize } = statfsSync(folder)
  t.equal(space?.size, blocks * bsize)
  // What is free changes meanwhile, and not by as much as a block has bytes.
  t.ok(space && space.free <= space.size && space.free > space.size / bsize, 'bytes, and not blocks')
  t.ok(space && space.inodes >= space.freeInodes)
})
