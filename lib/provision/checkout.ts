import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { sentences } from '../frame/text.ts'
import { inFolder, inFolderOf, splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { advice, CLONE_LIMIT, type Ended, Git, gitThere, type Programs, programsOf, short } from './git.ts'

/**
 * Brings the submodules of the checkout in `git` to where it wants them. One that stood elsewhere than the checkout
 * wanted it at `before`, the commit before its update, is moved only forwards, along its remote's branches.
 *
 * @param folder of that checkout below the API's, for a submodule of a submodule
 */
async function updateSubmodules(run: Run, git: Git, before: string, folder = ''): Promise<void> {
  const { settings, report } = run
  for (const path of await submodules(git)) {
    const name = `${folder}${path}`
    const there = git.at(path)
    const wanted = await recorded(git, 'HEAD', path)
    // .gitmodules tells of one that the commit does not have.
    if (wanted === '') continue
    const found = await there.commit('HEAD')
    const initialised = await isCheckedOut(git, there)
    if (initialised && found === wanted) continue
    if (initialised && found !== (await recorded(git, before, path))) {
      const { forwards, why } = await move(there, wanted)
      if (why) {
        const look = `${gitThere(settings, name)} status`
        report.warning(sentences(`submodule ${name}: not updated, ${why}`, `Look at it: ${look}`))
      }
      if (!forwards) continue
    }
    const updated = initialised
      ? await git.remote('submodule', '--quiet', 'update', '--', path)
      : await git.whole('submodule', '--quiet', 'update', '--init', '--recursive', '--force', '--', path)
    if (updated.code !== 0) {
      report.warning(`submodule ${name}: not updated (${updated.said}). ${advice(settings, updated)}`.trim())
      continue
    }
    report.change({ resource: `submodule ${settings.apiDir}/${name}`, action: `update to ${short(wanted)}` })
    if (initialised) await updateSubmodules(run, there, found, `${name}/`)
  }
}

/**
 * Whether anything is in the submodule `there`. One that was cloned and not checked out, because somebody was killed in between,
 * is at a commit all the same; one whose clone was killed is at none, and git itself does not get over it: that is removed.
 */
async function isCheckedOut(git: Git, there: Git): Promise<boolean> {
  const prefix = await there.run('rev-parse', '--show-prefix')
  if (prefix.code !== 0 || prefix.out !== '') return false
  for (const which of ['--cached', '--others'])
    if ((await there.run('ls-files', which)).out !== '') return true
  const [own, its] = [await git.directory(), await there.directory()]
  const refs = await there.run('for-each-ref', '--count=1')
  if (refs.code === 0 && refs.out === '' && its.startsWith(`${own}/modules/`)) {
    const top = await there.run('rev-parse', '--show-toplevel')
    await git.remove(its, `${top.out}/.git`)
  }
  return false
}

/**
 * Whether a submodule that stands elsewhere than the checkout wanted it may be moved to the commit `wanted`. The API's own
 * start (`git submodule update --remote`) leaves it at the head of a branch of its remote, mostly ahead of that commit:
 * there it stays. A commit that no remote has, or an edit, is somebody's work.
 */
async function move(
  there: Git,
  wanted: string,
): Promise<{ readonly forwards: boolean; readonly why?: string }> {
  const published = await there.run('for-each-ref', '--count=1', '--contains=HEAD', 'refs/remotes')
  if (published.out === '') return { forwards: false, why: 'it is at a commit of its own' }
  // Submodules of its own stand where the API's start has left them as well.
  const edits = await there.run(
    '--no-optional-locks',
    'status',
    '--porcelain',
    '--untracked-files=no',
    '--ignore-submodules=all',
  )
  if (edits.out !== '' || edits.code !== 0) return { forwards: false, why: 'there are edits in it' }
  if ((await there.commit(wanted)) === '') {
    const fetched = await there.remote('fetch', '--quiet', '--no-recurse-submodules')
    if (fetched.code !== 0)
      return { forwards: false, why: `its repository cannot be reached (${fetched.said})` }
    if ((await there.commit(wanted)) === '') {
      return {
        forwards: false,
        why: `its repository does not have the commit ${short(wanted)} that is wanted`,
      }
    }
  }
  return { forwards: await there.isAncestor('HEAD', wanted) }
}

/** The paths of the submodules, which .gitmodules has one to a line behind their keys. */
async function submodules(git: Git): Promise<string[]> {
  const listed = await git.run('config', '--file', '.gitmodules', '--get-regexp', '^submodule\\..*\\.path$')
  return listed.out.split('\n').flatMap(line => line.split(' ').slice(1).join(' ') || [])
}

/** The commit at which `revision` of the checkout wants the submodule `path`. */
const recorded = async (git: Git, revision: string, path: string): Promise<string> =>
  (await git.run('rev-parse', '--verify', '--quiet', `${revision}:${path}`)).out

/** Why the checkout stays as it is, and what to do about it. */
type Obstacle = { readonly why: string; readonly remedy: string }

/**
 * Fast-forwards the checkout to its branch in the repository, and the submodules that stand where the
 * checkout wants them. Whatever speaks against it is a warning, and the code that is there stays: no
 * network, another branch, local commits beside new ones, edits in the way.
 */
async function update(run: Run, programs: Programs): Promise<void> {
  const git = new Git(programs)
  const { apiDir } = run.settings
  const obstacle =
    (await elsewhere(run, git)) ?? (await (run.check ? compare(run, git) : fastForward(run, git)))
  if (obstacle)
    run.report.warning(sentences(`checkout ${apiDir}: not updated, ${obstacle.why}`, obstacle.remedy))
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

const offline = ({ settings }: Run, ended: Ended): Obstacle => ({
  why: `its repository cannot be reached (${ended.said})`,
  remedy: `The code that is there is used. ${advice(settings, ended)}`.trim(),
})

async function fastForward(run: Run, git: Git): Promise<Obstacle | undefined> {
  const { apiDir, apiBranch } = run.settings
  const branch = `refs/heads/${apiBranch}`
  const fetched = await git.remote('fetch', '--quiet', '--no-recurse-submodules', source(run), branch)
  if (fetched.code !== 0) return offline(run, fetched)
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
  if (listed.code !== 0) return offline(run, listed)
  const next = listed.out.split(/\s/)[0] ?? ''
  const head = await git.commit('HEAD')
  if (next === head || (await git.isAncestor(next, head))) return undefined
  run.report.change({
    resource: `checkout ${apiDir}`,
    action: `update ${apiBranch} from ${short(head)} to ${short(next)}`,
  })
  return undefined
}

const QUICK_LIMIT = 60_000
/** How env(1) exits where a program is not there, or in a folder of the PATH that the account may not enter. */
const NOT_RUN: ReadonlySet<number> = new Set([126, 127])

/**
 * Provides the API's checkout where the settings name its repository: clones a missing one, and with
 * ENDOREG_API_UPDATE=boot brings an existing one up to date. Everything happens as the service account.
 *
 * @returns false where check mode stops before there is a checkout
 * Fails with 75 where a missing checkout cannot be cloned now, 69 without git.
 */
export async function provideCheckout(run: Run, service: Account): Promise<boolean> {
  const { settings, check, report } = run
  const { apiDir, apiRepository, apiBranch, apiUpdate } = settings
  const there = isThere(apiDir, service, apiRepository !== undefined)
  if (there) {
    if (apiUpdate === 'boot') await update(run, programsOf(run, service, apiDir))
    return true
  }
  if (apiRepository === undefined) return true
  if (!check) await clone(run, apiRepository, service)
  report.change({ resource: `checkout ${apiDir}`, action: `clone, branch ${apiBranch}` })
  return !check
}

/** Whether the folder `path` holds something; undefined where there is none. */
const content = job('look into', [v.string()], v.optional(v.picklist(['nothing', 'something'])), path =>
  inFolder(path, folder =>
    doing(`look at ${path}`, () => (folder.list().length > 0 ? 'something' : 'nothing')),
  ),
)

const exists = job('look for', [v.string()], v.boolean(), path => inFolder(path, () => true) ?? false)

/** Gives the finished clone, which stands beside it, its name; where somebody has put a checkout there meanwhile, that is the one. */
const rename = job('rename', [v.string(), v.string()], v.void(), (from, to) => {
  try {
    inFolderOf(from, (folder, name) => folder.rename(name, splitPath(to).name))
  } catch (error) {
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST')
      throw systemFailure(error, `rename ${from} to ${to}`)
  }
})

/** Whether there is a checkout; an empty folder is one to clone into. */
const isThere = (path: string, service: Account, cloning: boolean): boolean =>
  cloning ? content.as(service, path) === 'something' : exists.as(service, path)

/** Clones beside `path` and puts the whole checkout in place in one step, so that a killed run leaves no half. */
async function clone(run: Run, repository: string, service: Account): Promise<void> {
  const { apiDir: path, apiBranch: branch } = run.settings
  const { folder, name } = splitPath(path)
  const message = `clone the API into ${path}`
  const programs = programsOf(run, service, requireFolder(folder, service, message))
  const temporary = `${folder}/.${name}.clone`
  await must(run, programs(QUICK_LIMIT, 'rm', '-rf', '--', temporary), message)
  const cloned = programs(
    CLONE_LIMIT,
    'git',
    ...['clone', '--quiet', '--recurse-submodules', '--branch', branch, '--', repository, temporary],
  )
  await must(run, cloned, message)
  rename.as(service, temporary, path)
}

function requireFolder(path: string, service: Account, message: string): string {
  if (exists.as(service, path)) return path
  throw new Failure(ExitCode.configuration, {
    message,
    cause: `there is no folder ${path}`,
    hint: `Create it for ${service.name}: install -d -o ${service.name} -m 0750 ${path}`,
  })
}

async function must({ settings }: Run, work: Promise<Ended>, message: string): Promise<void> {
  const ended = await work
  const { code, said } = ended
  if (code === 0) return
  if (code !== null && NOT_RUN.has(code)) {
    throw new Failure(ExitCode.unavailable, {
      message,
      cause: said,
      hint: 'Install git and run it again: apt install git',
    })
  }
  throw new Failure(ExitCode.tryLater, {
    message,
    cause: said,
    hint:
      advice(settings, ended) ||
      'Look at the network, at ENDOREG_API_REPOSITORY and ENDOREG_API_BRANCH, and at the key or credential helper of the service account; then run it again.',
  })
}
