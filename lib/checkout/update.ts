import type { Run } from '../command.ts'
import type { Ended, Programs } from './programs.ts'

/** Milliseconds that the network gets; a clinic that is offline must not wait for longer at every boot. */
const NETWORK_LIMIT = 60_000
const LOCAL_LIMIT = 60_000

/**
 * Fast-forwards the checkout to its branch in the repository, and the submodules that stand where the
 * checkout wants them. Whatever speaks against it is a warning, and the code that is there stays: no
 * network, another branch, local commits beside new ones, edits in the way.
 */
export async function update({ settings, check, report }: Run, programs: Programs): Promise<void> {
  const { apiDir, apiBranch } = settings
  const source = settings.apiRepository ?? 'origin'
  const git = (...args: string[]): Promise<Ended> => programs(LOCAL_LIMIT, 'git', ...args)
  const stays = (why: string, remedy: string): void =>
    report.warning(`checkout ${apiDir}: not updated, ${why}. ${remedy}`)

  const top = await git('rev-parse', '--show-toplevel')
  if (top.code !== 0)
    return stays(
      `git does not take it for a checkout (${top.said})`,
      'Set ENDOREG_API_UPDATE=never, or clone it.',
    )
  const branch = await git('symbolic-ref', '--quiet', '--short', 'HEAD')
  if (branch.out !== apiBranch) {
    const which = branch.out === '' ? 'no branch is checked out' : `the branch ${branch.out} is checked out`
    return stays(which, `Run git switch ${apiBranch} there, or set ENDOREG_API_BRANCH.`)
  }
  if (check) return checkOnly()

  const fetched = await programs(
    NETWORK_LIMIT,
    'git',
    'fetch',
    '--quiet',
    '--no-recurse-submodules',
    source,
    `refs/heads/${apiBranch}`,
  )
  if (fetched.code !== 0)
    return stays(`its repository cannot be reached (${fetched.said})`, 'The code that is there is used.')
  const [head, next] = [await commit('HEAD'), await commit('FETCH_HEAD')]
  if (!(await isAncestor(next, head))) {
    if (!(await isAncestor(head, next))) {
      return stays(
        `the branch has commits of its own and the repository has new ones`,
        `Join them by hand: git -C ${apiDir} rebase FETCH_HEAD (or merge), and push.`,
      )
    }
    const merged = await git('merge', '--quiet', '--ff-only', next)
    if (merged.code !== 0)
      return stays(`edits are in the way (${merged.said})`, `Look at them: git -C ${apiDir} status`)
    report.change({
      resource: `checkout ${apiDir}`,
      action: `fast-forward ${apiBranch} from ${short(head)} to ${short(next)}`,
    })
  }
  await updateSubmodules(head)

  async function checkOnly(): Promise<void> {
    const listed = await programs(
      NETWORK_LIMIT,
      'git',
      'ls-remote',
      '--exit-code',
      source,
      `refs/heads/${apiBranch}`,
    )
    if (listed.code !== 0)
      return stays(`its repository cannot be reached (${listed.said})`, 'The code that is there is used.')
    const next = listed.out.split(/\s/)[0] ?? ''
    const head = await commit('HEAD')
    if (next === head || (await isAncestor(next, head))) return
    report.change({
      resource: `checkout ${apiDir}`,
      action: `update ${apiBranch} from ${short(head)} to ${short(next)}`,
    })
  }

  async function commit(name: string): Promise<string> {
    return (await git('rev-parse', '--verify', `${name}^{commit}`)).out
  }

  /** False as well where `older` is not known here. */
  async function isAncestor(older: string, newer: string): Promise<boolean> {
    return (await git('merge-base', '--is-ancestor', older, newer)).code === 0
  }

  /** Those that stood elsewhere than the checkout wanted at `before` are somebody's work and stay there. */
  async function updateSubmodules(before: string): Promise<void> {
    for (const path of await submodules()) {
      const wanted = await recorded('HEAD', path)
      const found = await git('-C', path, 'rev-parse', '--verify', 'HEAD')
      const initialised = (await git('-C', path, 'rev-parse', '--show-prefix')).out === ''
      if (initialised && found.out === wanted) continue
      if (initialised && found.out !== (await recorded(before, path))) {
        report.warning(
          `submodule ${path}: not updated, it is at a commit of its own. Look at it: git -C ${apiDir}/${path} status`,
        )
        continue
      }
      const updated = await programs(
        NETWORK_LIMIT,
        'git',
        'submodule',
        '--quiet',
        'update',
        '--init',
        '--recursive',
        '--',
        path,
      )
      if (updated.code === 0)
        report.change({ resource: `submodule ${apiDir}/${path}`, action: `update to ${short(wanted)}` })
      else report.warning(`submodule ${path}: not updated (${updated.said})`)
    }
  }

  async function submodules(): Promise<string[]> {
    const listed = await git('config', '--file', '.gitmodules', '--get-regexp', '^submodule\\..*\\.path$')
    return listed.out.split('\n').flatMap(line => line.split(' ').slice(1).join(' ') || [])
  }

  /** The commit at which `revision` of the checkout wants the submodule `path`. */
  async function recorded(revision: string, path: string): Promise<string> {
    return (await git('rev-parse', '--verify', '--quiet', `${revision}:${path}`)).out
  }
}

const short = (commit: string): string => commit.slice(0, 10)
