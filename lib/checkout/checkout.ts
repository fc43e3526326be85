import { readdirSync, renameSync } from 'node:fs'
import * as v from 'valibot'
import type { Run } from '../command.ts'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import type { Account } from '../files/accounts.ts'
import { inFolder, splitPath } from '../files/folder.ts'
import { job } from '../files/job.ts'
import { type Ended, programsOf } from './programs.ts'
import { update } from './update.ts'

/** Milliseconds that fetching a whole repository with its submodules gets. */
const CLONE_LIMIT = 15 * 60_000
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
    if (apiUpdate === 'boot') await update(run, await programsOf(run, service, apiDir))
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
    doing(`look at ${path}`, () => (readdirSync(folder.at('.')).length > 0 ? 'something' : 'nothing')),
  ),
)

const exists = job('look for', [v.string()], v.boolean(), path => inFolder(path, () => true) ?? false)

/** Gives the finished clone its name; where somebody has put a checkout there meanwhile, that is the one. */
const rename = job('rename', [v.string(), v.string()], v.void(), (from, to) => {
  try {
    renameSync(from, to)
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
  const programs = await programsOf(run, service, requireFolder(folder, service, message))
  const temporary = `${folder}/.${name}.clone`
  await must(programs(QUICK_LIMIT, 'rm', '-rf', '--', temporary), message)
  const cloned = programs(
    CLONE_LIMIT,
    'git',
    ...['clone', '--quiet', '--recurse-submodules', '--branch', branch, '--', repository, temporary],
  )
  await must(cloned, message)
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

async function must(work: Promise<Ended>, message: string): Promise<void> {
  const { code, said } = await work
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
    hint: 'Look at the network, at ENDOREG_API_REPOSITORY and ENDOREG_API_BRANCH, and at the key or credential helper of the service account; then run it again.',
  })
}
