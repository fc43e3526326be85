import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { asService, type Result, runCommand } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'
import { needsHttps, serveRepositories } from '../support/https-repositories.ts'

const BRANCH = 'environment-setup'
const LIBRARIES = ['endoreg-db', 'lx-anonymizer'] as const
const PERSON = '[user]\nname = test\nemail = test@example.org\n'
/** What LuxNix's devenv.nix does whenever somebody enters its shell, which the API's start does. */
const START = 'git submodule --quiet init && git submodule --quiet update --remote --recursive'

/**
 * A host whose API comes as that of LuxNix's clients does: over https, from a branch that is not the default one, with
 * submodules over https that name a branch. The clinic's authority is trusted by a file that git's own settings name.
 */
async function clinic(t: Test) {
  const host = await Host.create(t)
  const served = join(host.folder, 'home/served')
  const certificates = join(host.folder, 'certificates')
  mkdirSync(certificates)
  const settings = join(host.folder, 'gitconfig')
  /** A shell script of the service account's, at its end; it may talk to the server in this process. */
  const script = async (folder: string, text: string): Promise<string> => {
    const [program, args] = asService(`cd ${folder} && ${text}`)
    const env = { ...host.env, GIT_CONFIG_GLOBAL: settings }
    const { code, out, err } = await runCommand(program, args, { env })
    if (code !== 0) throw new Error(`${text}: ${err}`)
    return out.trim()
  }
  execFileSync(...asService(`mkdir ${served}`), { env: host.env })
  const server = await serveRepositories(t, served, certificates)
  const trust = `[http]\nsslCAInfo = ${server.authority}\n`
  writeFileSync(settings, PERSON + trust)
  for (const library of LIBRARIES) {
    await script(
      served,
      `git init -q -b main ${library} && cd ${library} && echo 1 >part && git add . && git commit -qm 1 && git switch -qc prototype`,
    )
  }
  await script(
    served,
    `git init -q -b main endo-api && cd endo-api && git commit -qm empty --allow-empty && git switch -qc ${BRANCH} &&
     echo 1 >code && printf 'conf/\\ndata/\\n.env\\nlocal_settings.py\\n' >.gitignore &&
     ${LIBRARIES.map(name => `git submodule --quiet add -b prototype ${server.url}/${name} libs/${name}`).join(' && ')} &&
     git add . && git commit -qm 1 && git switch -q main`,
  )
  rmSync(host.apiDir, { recursive: true })
  const repository = `${server.url}/endo-api`
  const api = (path: string): string => readFileSync(join(host.apiDir, path), 'utf8').trim()
  return {
    host,
    server,
    script,
    repository,
    trust: (trusted: boolean) => writeFileSync(settings, PERSON + (trusted ? trust : '')),
    boot: (env: Record<string, string> = {}): Promise<Result> =>
      host.boot([], {
        env: {
          GIT_CONFIG_GLOBAL: settings,
          ENDOREG_API_REPOSITORY: repository,
          ENDOREG_API_BRANCH: BRANCH,
          ENDOREG_API_UPDATE: 'boot',
          ...env,
        },
      }),
    /** What a run has to leave alone: where everything stands. */
    state: (): Promise<string> =>
      script(host.apiDir, 'git rev-parse HEAD && git submodule status --recursive'),
    /** Somebody publishes a commit of the API, with its submodules as they are in its own clone. */
    publish: (text: string, change = 'true'): Promise<string> =>
      script(
        `${served}/endo-api`,
        `git switch -q ${BRANCH} && git submodule --quiet update --init && ${change} && echo ${text} >code && git commit -qam ${text} && git switch -q main`,
      ),
    /** Somebody publishes a commit of a library. */
    extend: (library: string, text: string, branch = 'prototype'): Promise<string> =>
      script(
        `${served}/${library}`,
        `git switch -q ${branch} && echo ${text} >part && git commit -qam ${text}`,
      ),
    code: () => [api('code'), ...LIBRARIES.map(name => api(`libs/${name}/part`))],
  }
}

const actions = ({ json }: Result): string[] => json.changes.map(({ action }) => action.split(' ')[0] ?? '')

t.test('a repository as clients of LuxNix have it', needsHttps, async t => {
  const { host, server, script, trust, boot, state, publish, extend, code } = await clinic(t)
  t.equal((await host.setup()).code, 0)
  const [first, second] = LIBRARIES

  /** A run that changes nothing in the checkout, and has nothing to say but `says`. */
  const stays = async (t: Test, says?: RegExp): Promise<void> => {
    const before = await state()
    const result = await boot()
    t.equal(result.code, 0, result.err)
    t.same(result.json.changes, [])
    if (says) t.match(result.err, says)
    else t.notMatch(result.err, /submodule|checkout/)
    t.equal(await state(), before)
  }

  await t.test('a certificate that nobody here trusts: git says so, and so does the hint', async t => {
    trust(false)
    const result = await boot()
    t.equal(result.code, 75, result.err)
    t.match(result.json.error, {
      message: /^cannot clone the API into/,
      cause: /^fatal: unable to access 'https:\/\/localhost:\d+\/endo-api\/': .*certificate/,
      hint: /update-ca-certificates.* http\.sslCAInfo FILE/,
    })
    trust(true)
  })
  await t.test('a server that is down', async t => {
    await server.down()
    const result = await boot()
    t.match(result.json.error, {
      code: 75,
      cause: /unable to access .*connect/i,
      hint: /^Look at the network/,
    })
    await server.up()
  })
  await t.test('a clone of the branch, with its submodules', async t => {
    const result = await boot()
    t.equal(result.code, 0, result.err)
    t.equal(result.json.changes[0]?.action, `clone, branch ${BRANCH}`)
    t.same(code(), ['1', '1', '1'])
    await stays(t)
  })
  await t.test(
    'the API moves its submodules at its start, and no boot takes that for work of somebody',
    async t => {
      for (const library of LIBRARIES) await extend(library, '2')
      await script(host.apiDir, START)
      t.same(code(), ['1', '2', '2'])
      await stays(t)
    },
  )
  await t.test('the checkout is updated and they stay: no step back', async t => {
    await publish('2')
    const result = await boot()
    t.same(actions(result), ['fast-forward'], result.err)
    t.notMatch(result.err, /not updated/)
    t.same(code(), ['2', '2', '2'])
  })
  await t.test('the commit that the checkout wants moves on past where one stands', async t => {
    await extend(first, '3')
    await publish('3', `git -C libs/${first} pull -q origin prototype`)
    const result = await boot()
    t.same(actions(result), ['fast-forward', 'update'], result.err)
    t.notMatch(result.err, /not updated/)
    t.same(code(), ['3', '3', '2'])
    await stays(t)
  })
  await t.test('offline, and with a certificate that is not trusted any more', async t => {
    await server.down()
    await stays(
      t,
      /not updated, its repository cannot be reached \(fatal: .*\)\. The code that is there is used\.$/m,
    )
    await server.up()
    trust(false)
    await stays(
      t,
      /cannot be reached \(fatal: .*certificate.*\)\. The code that is there is used\. Let git trust/,
    )
    trust(true)
  })
  await t.test('by hand root names the authority in its environment', needsRoot, async t => {
    const env = { ENDOREG_API_BRANCH: BRANCH, ENDOREG_API_UPDATE: 'boot' }
    const without = await host.run('endo-api-boot', [], { env })
    t.match(without.err, /cannot be reached \(fatal: .*certificate/)
    const result = await host.run('endo-api-boot', [], { env: { ...env, GIT_SSL_CAINFO: server.authority } })
    t.notMatch(result.err, /submodule|checkout/)
    t.same(result.json.changes, [])
  })
  await t.test('a commit that nobody has', async t => {
    await publish('4', `git -C libs/${second} commit -qm hidden --allow-empty`)
    const result = await boot()
    t.same(actions(result), ['fast-forward'])
    t.match(
      result.err,
      new RegExp(`submodule libs/${second}: not updated, its repository does not have the commit`),
    )
    t.same(code(), ['4', '3', '2'])
  })
  await t.test("edits, and a commit of its own, are somebody's", async t => {
    await publish('5', `git -C libs/${second} checkout -q origin/prototype`)
    t.same(actions(await boot()), ['fast-forward'])
    await extend(first, '6')
    await script(host.apiDir, START)
    await stays(t)
    await script(`${host.apiDir}/libs/${first}`, 'echo mine >part')
    await stays(
      t,
      new RegExp(
        `submodule libs/${first}: not updated, there are edits in it\\. .* -C \\S+/libs/${first} status`,
      ),
    )
    await script(`${host.apiDir}/libs/${first}`, 'git commit -qam mine')
    await stays(t, new RegExp(`submodule libs/${first}: not updated, it is at a commit of its own`))
    t.same(code(), ['5', 'mine', '2'])
  })
  await t.test('one that the commit has no more, though .gitmodules tells of it', async t => {
    await publish('6', `git rm -q --cached libs/${first} && rm -r libs/${first}`)
    const result = await boot()
    t.same(actions(result), ['fast-forward'])
    t.notMatch(result.err, /not updated/)
  })
})

t.test("a host that LuxNix's own script has cloned", needsHttps, async t => {
  const { host, script, repository, boot, publish, extend, code } = await clinic(t)
  t.equal((await host.setup()).code, 0)
  await script(
    join(host.apiDir, '..'),
    `git clone -q ${repository} ${host.apiDir} && cd ${host.apiDir} && git checkout -q -b ${BRANCH} origin/${BRANCH}`,
  )
  await t.test('before the first start of the API', async t => {
    // As git leaves it that was killed while it cloned: "Unable to find current revision in submodule path" ever after.
    const half =
      'mkdir -p .git/modules/libs && git init -q --separate-git-dir .git/modules/libs/endoreg-db libs/endoreg-db'
    await script(host.apiDir, half)
    await t.rejects(script(host.apiDir, START), /Unable to find .*revision/, 'git does not get over it')
    t.throws(code, 'and has not checked out the other one, which it has cloned')
    const result = await boot()
    t.equal(result.code, 0, result.err)
    t.same(actions(result).slice(0, 2), ['update', 'update'], 'submodules that it has not')
    t.notMatch(result.err, /not updated/)
    t.same(code(), ['1', '1', '1'])
  })
  await t.test('at a boot, by the remote that it has', async t => {
    await extend('endoreg-db', '2')
    await script(host.apiDir, START)
    await publish('2')
    const result = await boot({ ENDOREG_API_REPOSITORY: '' })
    t.same(actions(result), ['fast-forward'], result.err)
    t.notMatch(result.err, /not updated/)
    t.same(code(), ['2', '2', '1'])
  })
})
