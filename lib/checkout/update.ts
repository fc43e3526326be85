import type { Run } from '../command.ts'
import { Git, gitThere, short } from './git.ts'
import type { Ended, Programs } from './programs.ts'
import { updateSubmodules } from './submodules.ts'

/** Why the checkout stays as it is, and what to do about it. */
type Obstacle = { readonly why: string; readonly remedy: string }

/**
 * Fast-forwards the checkout to its branch in the repository, and the submodules that stand where the
 * checkout wants them. Whatever speaks against it is a warning, and the code that is there stays: no
 * network, another branch, local commits beside new ones, edits in the way.
 */
export async function update(run: Run, programs: Programs): Promise<void> {
  const git = new Git(programs)
  const { apiDir } = run.settings
  const obstacle =
    (await elsewhere(run, git)) ?? (await (run.check ? compare(run, git) : fastForward(run, git)))
  if (obstacle) run.report.warning(`checkout ${apiDir}: not updated, ${obstacle.why}. ${obstacle.remedy}`)
}

/** Where what is checked out is not the branch to update. */
async function elsewhere({ settings }: Run, git: Git): Promise<Obstacle | undefined> {
  const { apiBranch } = settings
  const top = await git.run('rev-parse', '--show-toplevel')
  if (top.code !== 0) {
    return {
      why: `git does not take it for a checkout (${top.said})`,
      remedy: 'Set ENDOREG_API_UPDATE=never, or clone it.',
    }
  }
  const branch = await git.run('symbolic-ref', '--quiet', '--short', 'HEAD')
  if (branch.out === apiBranch) return undefined
  return {
    why: branch.out === '' ? 'no branch is checked out' : `the branch ${branch.out} is checked out`,
    remedy: `Switch it: ${gitThere(settings)} switch ${apiBranch}; or set ENDOREG_API_BRANCH.`,
  }
}

const source = ({ settings }: Run): string => settings.apiRepository ?? 'origin'

const offline = ({ said }: Ended): Obstacle => ({
  why: `its repository cannot be reached (${said})`,
  remedy: 'The code that is there is used.',
})

async function fastForward(run: Run, git: Git): Promise<Obstacle | undefined> {
  const { apiDir, apiBranch } = run.settings
  const branch = `refs/heads/${apiBranch}`
  const fetched = await git.remote('fetch', '--quiet', '--no-recurse-submodules', source(run), branch)
  if (fetched.code !== 0) return offline(fetched)
  const [head, next] = [await git.commit('HEAD'), await git.commit('FETCH_HEAD')]
  if (!(await git.isAncestor(next, head))) {
    if (!(await git.isAncestor(head, next))) {
      return {
        why: 'the branch has commits of its own and the repository has new ones',
        remedy: `Join them by hand: ${gitThere(run.settings)} rebase FETCH_HEAD (or merge), and push.`,
      }
    }
    const merged = await git.run('merge', '--quiet', '--ff-only', next)
    if (merged.code !== 0) {
      return {
        why: `edits are in the way (${merged.said})`,
        remedy: `Look at them: ${gitThere(run.settings)} status`,
      }
    }
    run.report.change({
      resource: `checkout ${apiDir}`,
      action: `fast-forward ${apiBranch} from ${short(head)} to ${short(next)}`,
    })
  }
  await updateSubmodules(run, git, head)
  return undefined
}

/** In check mode: what the repository has, without fetching it. */
async function compare(run: Run, git: Git): Promise<Obstacle | undefined> {
  const { apiDir, apiBranch } = run.settings
  const listed = await git.remote('ls-remote', '--exit-code', source(run), `refs/heads/${apiBranch}`)
  if (listed.code !== 0) return offline(listed)
  const next = listed.out.split(/\s/)[0] ?? ''
  const head = await git.commit('HEAD')
  if (next === head || (await git.isAncestor(next, head))) return undefined
  run.report.change({
    resource: `checkout ${apiDir}`,
    action: `update ${apiBranch} from ${short(head)} to ${short(next)}`,
  })
  return undefined
}
