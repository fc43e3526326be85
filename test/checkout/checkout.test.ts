import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { asService, type Result } from '../support/command.ts'
import { Host } from '../support/host.ts'

const GIT = {
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.org',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.org',
  // A submodule may come from a folder only where it is allowed.
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'protocol.file.allow',
  GIT_CONFIG_VALUE_0: 'always',
}

/** A host with a repository for the API that has a submodule; both belong to the service account. */
async function withRepository(t: Parameters<typeof Host.create>[0]) {
  const host = await Host.create(t)
  const home = join(host.folder, 'home')
  const git = (folder: string, script: string): string =>
    execFileSync(...asService(`cd ${folder} && ${script}`), {
      env: { ...host.env, ...GIT, HOME: home },
      encoding: 'utf8',
    }).trim()
  git(
    home,
    `git init -q -b main lib && cd lib && echo 1 > part && git add . && git commit -qm 1 && cd .. &&
     git init -q -b main origin && cd origin && echo 1 > code && printf 'conf/\n' > .gitignore &&
     git submodule --quiet add ${home}/lib lib && git add . && git commit -qm 1`,
  )
  rmSync(host.apiDir, { recursive: true })
  const env = { ...GIT, ENDOREG_API_REPOSITORY: `${home}/origin` }
  return {
    host,
    home,
    git,
    origin: join(home, 'origin'),
    boot: (...args: string[]): Promise<Result> => host.boot(args, { env }),
    update: (...args: string[]): Promise<Result> =>
      host.boot(args, { env: { ...env, ENDOREG_API_UPDATE: 'boot' } }),
    code: (): string => readFileSync(join(host.apiDir, 'code'), 'utf8').trim(),
    part: (): string => readFileSync(join(host.apiDir, 'lib/part'), 'utf8').trim(),
  }
}

t.test('a missing checkout is cloned, with its submodules', async t => {
  const { host, home, boot, code, part, git, origin } = await withRepository(t)
  t.equal((await host.setup()).code, 0)
  const check = await boot('--check')
  t.equal(check.code, 1, check.err)
  t.match(check.json.changes, [{ resource: `checkout ${host.apiDir}`, action: 'clone, branch main' }])
  t.notOk(existsSync(host.apiDir))
  // What a killed run left.
  git(home, 'mkdir .endo-api.clone && touch .endo-api.clone/half')
  const result = await boot()
  t.equal(result.code, 0, result.err)
  t.equal(result.json.changes[0]?.action, 'clone, branch main')
  t.same([code(), part()], ['1', '1'])
  t.ok(existsSync(host.copy))
  t.notOk(existsSync(join(home, '.endo-api.clone')))
  t.same((await boot()).json.changes, [])
  git(origin, 'echo 2 > code && git commit -qam 2')
  t.same((await boot()).json.changes, [], 'ENDOREG_API_UPDATE is never')
  t.equal(code(), '1')
})

t.test('a clone that fails is 75, and leaves nothing', async t => {
  const { host, home, boot, origin } = await withRepository(t)
  t.equal((await host.setup()).code, 0)
  renameSync(origin, `${origin}.away`)
  const result = await boot()
  t.equal(result.code, 75, result.err)
  t.match(result.json.error, {
    message: /^cannot clone the API into/,
    cause: /does not exist/,
    hint: /network/,
  })
  t.notOk(existsSync(host.apiDir))
  mkdirSync(host.apiDir)
  renameSync(`${origin}.away`, origin)
  host.makeCheckout()
  t.equal((await boot()).code, 0, 'an empty folder is cloned into')
  rmSync(host.apiDir, { recursive: true })
  rmSync(home, { recursive: true })
  t.match((await boot()).json.error, { code: 78, hint: /install -d/ })
})

t.test('an existing checkout is fast-forwarded, its submodules too', async t => {
  const { host, home, boot, update, code, part, git, origin } = await withRepository(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await boot()).code, 0)
  t.same((await update()).json.changes, [])
  git(`${home}/lib`, 'echo 2 > part && git commit -qam 2')
  git(origin, 'echo 2 > code && git -C lib pull -q && git commit -qam 2')
  const check = await update('--check')
  t.equal(check.code, 1, check.err)
  t.match(check.json.changes, [{ action: /^update main from \w{10} to \w{10}$/ }])
  t.equal(code(), '1')
  const result = await update()
  t.equal(result.code, 0, result.err)
  t.same(
    result.json.changes.map(({ action }) => action.split(' ')[0]),
    ['fast-forward', 'update'],
  )
  t.same([code(), part()], ['2', '2'])
  t.same((await update()).json.changes, [])
})

t.test('nothing that is on the host only is lost', async t => {
  const { host, home, boot, update, code, part, git, origin } = await withRepository(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await boot()).code, 0)
  const here = host.apiDir

  /** Runs the update, which has to leave everything as it is and say why. */
  const stays = async (name: string, says: RegExp, kept: () => unknown): Promise<void> => {
    await t.test(name, async t => {
      const before = kept()
      const result = await update()
      t.equal(result.code, 0, result.err)
      t.match(result.err, says)
      t.same(kept(), before)
      t.same(result.json.changes, [])
    })
  }
  const head = (): string => git(here, 'git rev-parse HEAD && git status --porcelain')

  renameSync(origin, `${origin}.away`)
  await stays('offline', /cannot be reached .*code that is there is used/, head)
  renameSync(`${origin}.away`, origin)

  git(here, 'echo mine > code')
  git(origin, 'echo 2 > code && git commit -qam 2')
  await stays('edits in the way', /edits are in the way .*sudo -u [\w-]+ git -C \S+ status/, () => [
    head(),
    code(),
  ])

  git(here, 'git commit -qam mine')
  await stays('a diverged branch', /commits of its own .*rebase FETCH_HEAD/, () => [head(), code()])

  git(here, 'git switch -q -c other')
  await stays(
    'another branch',
    /the branch other is checked out.*sudo -u [\w-]+ git -C \S+ switch main/,
    head,
  )
  git(here, 'git switch -q --detach')
  await stays('no branch', /no branch is checked out/, head)
  git(here, 'git switch -q main && git reset -q --hard HEAD~1')

  await t.test('edits elsewhere', async t => {
    writeFileSync(join(here, 'notes'), 'mine')
    const result = await update()
    t.equal(result.code, 0, result.err)
    t.equal(code(), '2')
    t.equal(readFileSync(join(here, 'notes'), 'utf8'), 'mine')
  })
  await t.test('a commit of its own in a submodule', async t => {
    git(`${here}/lib`, 'echo mine > part && git commit -qam mine')
    git(`${home}/lib`, 'echo 2 > part && git commit -qam 2')
    git(origin, 'git -C lib pull -q && git commit -qam 3')
    const result = await update()
    t.equal(result.code, 0, result.err)
    t.match(result.err, /submodule lib: not updated, it is at a commit of its own/)
    t.equal(part(), 'mine')
  })
  await t.test('local commits alone', async t => {
    git(here, 'echo more > code && git commit -qam more')
    const result = await update()
    t.equal(result.code, 0, result.err)
    t.equal(code(), 'more')
  })
  await t.test('no checkout of git', async t => {
    rmSync(join(here, '.git'), { recursive: true })
    const result = await update()
    t.equal(result.code, 0, result.err)
    t.match(result.err, /git does not take it for a checkout/)
  })
})
