import type { Run } from '../command.ts'
import { type Git, gitThere, short } from './git.ts'

/**
 * Brings the submodules to where the checkout wants them. One that stood elsewhere than the checkout wanted
 * it at `before`, the commit before its update, is somebody's work and stays there, with a warning.
 */
export async function updateSubmodules({ settings, report }: Run, git: Git, before: string): Promise<void> {
  const { apiDir } = settings
  for (const path of await submodules(git)) {
    const wanted = await recorded(git, 'HEAD', path)
    const found = await git.run('-C', path, 'rev-parse', '--verify', 'HEAD')
    const initialised = (await git.run('-C', path, 'rev-parse', '--show-prefix')).out === ''
    if (initialised && found.out === wanted) continue
    if (initialised && found.out !== (await recorded(git, before, path))) {
      report.warning(
        `submodule ${path}: not updated, it is at a commit of its own. Look at it: ${gitThere(settings, path)} status`,
      )
      continue
    }
    const updated = await git.remote('submodule', '--quiet', 'update', '--init', '--recursive', '--', path)
    if (updated.code === 0) {
      report.change({ resource: `submodule ${apiDir}/${path}`, action: `update to ${short(wanted)}` })
    } else report.warning(`submodule ${path}: not updated (${updated.said})`)
  }
}

/** The paths of the submodules, which .gitmodules has one to a line behind their keys. */
async function submodules(git: Git): Promise<string[]> {
  const listed = await git.run('config', '--file', '.gitmodules', '--get-regexp', '^submodule\\..*\\.path$')
  return listed.out.split('\n').flatMap(line => line.split(' ').slice(1).join(' ') || [])
}

/** The commit at which `revision` of the checkout wants the submodule `path`. */
const recorded = async (git: Git, revision: string, path: string): Promise<string> =>
  (await git.run('rev-parse', '--verify', '--quiet', `${revision}:${path}`)).out
