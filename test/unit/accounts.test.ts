import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  account,
  accountById,
  accountName,
  findAccount,
  findGroup,
  group,
  groupName,
  homeOf,
  isMember,
} from '../../lib/host/accounts.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, scratch } from '../support/scratch.ts'

/** A name service that answers by a script of sh, in which \`$1\` and \`$2\` are what is asked for. */
function nameService(t: { teardown: (work: () => unknown) => void }, getent: string, id = 'exit 1'): void {
  const bin = join(scratch(t), 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'getent'), `#!/bin/sh\n${getent}\n`, { mode: 0o755 })
  writeFileSync(join(bin, 'id'), `#!/bin/sh\n${id}\n`, { mode: 0o755 })
  const path = process.env['PATH']
  process.env['PATH'] = `${bin}:${path}`
  t.teardown(() => {
    process.env['PATH'] = path
  })
}

t.test('what the local files have is not asked elsewhere', t => {
  nameService(t, 'echo "root:x:4711:4711::/wrong:/bin/sh"')
  t.same(findAccount('root'), { name: 'root', uid: 0, gid: 0 })
  t.match(accountById(0), { name: 'root', uid: 0 })
  t.same(findGroup('root'), { name: 'root', gid: 0 })
  t.equal(accountName(0), 'root')
  t.equal(groupName(0), 'root')
  t.equal(homeOf({ name: 'root', uid: 0, gid: 0 }), '/root')
  t.end()
})

t.test('what they do not have is asked for, and the answer looked at', t => {
  nameService(
    t,
    `case "$1 $2" in
       "passwd far") echo "far:x:4711:4712::/far:/bin/sh" ;;
       "passwd 4711") echo "far:x:4711:4712::/far:/bin/sh" ;;
       "group far") echo "far:x:4712:one,two" ;;
       "group 4712") echo "far:x:4712:" ;;
       "passwd other") echo "another:x:4711:4712::/far:/bin/sh" ;;
       "passwd 4713") echo "root:x:0:0::/root:/bin/sh" ;;
       "passwd text") echo "text:x:root:4712::/far:/bin/sh" ;;
       "passwd empty") echo "empty:x::4712::/far:/bin/sh" ;;
       "passwd half") echo "half:x:4711" ;;
       "passwd group") echo "group:x:4711:x::/far:/bin/sh" ;;
       "passwd long") echo "long:x:47114711471:4712::/far:/bin/sh" ;;
       "passwd minus") echo "minus:x:-1:4712::/far:/bin/sh" ;;
       "group text") echo "text:x:root:" ;;
       "passwd homeless") echo "homeless:x:4711:4712:::/bin/sh" ;;
       *) exit 2 ;;
     esac`,
    'case $2 in far) echo "4712 4713" ;; *) exit 1 ;; esac',
  )
  const far = { name: 'far', uid: 4711, gid: 4712 }
  t.same(findAccount('far'), far)
  t.same(accountById(4711), far)
  t.same(findGroup('far'), { name: 'far', gid: 4712 })
  t.equal(accountName(4711), 'far')
  t.equal(groupName(4712), 'far')
  t.equal(homeOf(far), '/far')
  t.equal(homeOf({ ...far, name: 'homeless' }), '/')
  t.equal(homeOf({ ...far, name: 'none' }), '/')
  for (const name of ['other', 'text', 'empty', 'half', 'group', 'long', 'minus', 'none', ''])
    t.equal(findAccount(name), undefined, name)
  t.equal(accountById(4713), undefined)
  t.equal(accountName(4713), '4713')
  t.equal(findGroup('text'), undefined)
  t.equal(groupName(4713), '4713')

  const other = { name: 'one', uid: 1, gid: 1 }
  t.equal(isMember(far, { name: 'anything', gid: 4712 }), true, 'by the primary group')
  t.equal(isMember(other, { name: 'far', gid: 4712 }), true, 'by the members of the group')
  t.equal(isMember({ ...other, name: 'on' }, { name: 'far', gid: 4712 }), false)
  t.equal(isMember(far, { name: 'elsewhere', gid: 4713 }), true, 'by what id says')
  t.equal(isMember(far, { name: 'elsewhere', gid: 471 }), false)
  t.equal(isMember(other, { name: 'elsewhere', gid: 4713 }), false)
  t.end()
})

t.test('a name that nobody has is a mistake in the settings', t => {
  nameService(t, 'exit 2')
  t.throws(() => account('none', 'ENDOREG_X'), {
    code: 78,
    message: 'look up the account none',
    hint: 'useradd --system none) or set ENDOREG_X',
  })
  t.throws(() => group('none', 'ENDOREG_Y'), {
    code: 78,
    message: 'look up the group none',
    hint: 'groupadd --system none) or set ENDOREG_Y',
  })
  t.equal(account('root', 'ENDOREG_X').uid, 0)
  t.equal(group('root', 'ENDOREG_Y').gid, 0)
  t.end()
})

t.test('the members of a local group', needsRoot, t => {
  const found = findGroup('sensitiveServices') ?? { name: '', gid: 0 }
  t.equal(isMember(accountOf('endoreg-service-user'), found), true)
  t.equal(isMember(accountOf('stranger'), found), false)
  t.end()
})
