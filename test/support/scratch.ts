import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { account } from '../../lib/host/accounts.ts'
import { Folder } from '../../lib/host/folder.ts'
import type { Account } from '../../lib/host/identity.ts'
import { changesIds } from '../../lib/host/identity.ts'
import { isRoot } from './command.ts'

/** tap's option for a test that takes on other accounts' ids in its own process. */
export const needsIds = {
  skip: !isRoot
    ? 'needs root: other accounts and their files'
    : changesIds()
      ? false
      : 'this Node.js changes no ids itself',
} as const

/** An empty folder that every account can enter, and only the one that runs the tests can write; gone after the test. */
export function scratch(t: { teardown: (work: () => unknown) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'endoreg-files-'))
  chmodSync(folder, 0o755)
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The account `name` of the host that the tests run on. */
export const accountOf = (name: string): Account => account(name, 'the accounts of the tests')

/** Has `swap` happen once, right after the look at the entry `name` of a folder and before what comes of it. */
export function afterLook(
  t: { teardown: (work: () => unknown) => void },
  name: string,
  swap: () => void,
): void {
  const { look } = Folder.prototype
  let due = true
  Folder.prototype.look = function (entry) {
    const found = look.call(this, entry)
    if (due && entry === name) {
      due = false
      swap()
    }
    return found
  }
  t.teardown(() => {
    Folder.prototype.look = look
  })
}
