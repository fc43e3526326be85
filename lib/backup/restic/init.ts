import { must, patiently } from './call.ts'
import { explain, isMissing } from './failure.ts'
import { QUICK } from './program.ts'
import type { Remote } from './remote.ts'

/**
 * Makes the repository where there is none. Only for whoever asks for it by name: a folder whose disk is not mounted
 * looks the same, and would become one on the wrong disk.
 *
 * Fails as `push` does; with 78 where there is one with another password.
 */
export async function initRemote(remote: Remote): Promise<void> {
  const { report, check } = remote.run
  const resource = remote.shown
  const message = 'make the repository'
  try {
    const found = await patiently(remote, { args: ['cat', '--no-lock', 'config'], limit: QUICK })
    if (found.code === 0) return
    if (!isMissing(found)) throw explain(remote, found, message)
    if (!check) await must(remote, { args: ['init'], limit: QUICK }, message)
    report.change({ resource, action: 'create' })
  } finally {
    report.waited()
  }
}
