import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { SoundHost } from '../support/broken-host.ts'
import { BIN } from '../support/checkout.ts'
import { needsRoot } from '../support/host.ts'
import { outputOf } from '../support/output.ts'

const FIX = join(BIN, 'fix-postgres')

t.test('remedies are shown, and applied where they are wanted', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  const { host } = sound
  const wrong = async (): Promise<boolean> => (await sound.debug()).code === 1

  /** fix-postgres at a terminal (script(1) makes one), with `answer` typed. */
  const typed = async (answer: string) => {
    const child = spawn('script', ['--quiet', '--return', '--command', FIX, '/dev/null'], { env: host.env })
    child.stdin.end(`${answer}\n`)
    return outputOf(child)
  }

  /** The same, with a key pressed once it asks. */
  const pressed = async (key: string) => {
    const child = spawn('script', ['--quiet', '--return', '--command', FIX, '/dev/null'], { env: host.env })
    let shown = ''
    child.stdout.on('data', (text: Buffer) => {
      const before = shown.includes('[y/N]')
      shown += text
      // The terminal stays: where its input ends, script(1) hangs up, and what was pressed may come too late.
      if (!before && shown.includes('[y/N]')) child.stdin.write(key)
    })
    return outputOf(child)
  }
  const times = (text: string, what: string): number => text.split(what).length - 1

  await t.test('nothing to do', async t => {
    const { code, json, err } = await sound.fix({}, '--yes')
    t.equal(code, 0, err)
    t.equal(json.changed, false)
    t.equal((await sound.fix({}, '--check')).code, 0)
  })

  await host.cluster.query('ALTER ROLE "endoregDbLocal" NOLOGIN')
  await t.test('--check lists', async t => {
    const { code, json, err } = await sound.fix({}, '--check')
    t.equal(code, 1, err)
    t.same(
      json.changes.map(({ resource }) => resource),
      ['remedy setup'],
    )
    t.equal(times(err, 'error role-no-login'), 1, 'each finding once')
    t.equal(times(err, 'remedy setup'), 1, 'and each remedy')
    t.ok(await wrong(), 'and changes nothing')
  })
  await t.test('at a terminal nothing is done where nothing is answered', async t => {
    const ended = await pressed('\u0004')
    t.equal(ended.code, 1, ended.out)
    t.match(ended.out, /nothing was changed; left: 1 error/)
    const interrupted = await pressed('\u0003')
    // The shell that script(1) puts in between ends by the signal itself.
    t.match(interrupted.out, /SIGINT asked this run to stop[\s\S]*failed with exit code 75, no changes made/)
    for (const { out } of [ended, interrupted]) t.notMatch(out, /this is a bug|Error:/)
    t.ok(await wrong())
  })
  await t.test('without a terminal and --yes nothing is done', async t => {
    t.match(await sound.fix(), { code: 64, err: /--yes/ })
    t.ok(await wrong())
  })
  await t.test('at a terminal it asks', async t => {
    for (const answer of ['n', '', 'x']) {
      const refused = await typed(answer)
      t.equal(refused.code, 1, refused.out)
      t.match(refused.out, /apply them\? \[y\/N\]/)
      t.match(refused.out, /nothing was changed/)
    }
    t.ok(await wrong())
    const wanted = await typed('y')
    t.equal(wanted.code, 0, wanted.out)
    t.notOk(await wrong())
  })
  await t.test('a remedy that fails leaves the others, and says why', async t => {
    await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'another'`)
    const client = await host.cluster.connect('endoregDbLocal')
    await client.query('ALTER SCHEMA public OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM PUBLIC')
    await client.end()
    const found = await sound.debug()
    t.same(sound.surprises(found), ['password-postgres', 'schema-create'], found.err)
    const fixed = await sound.fix({ env: { ENDOREG_ON_FOREIGN_CHANGE: 'refuse' } }, '--yes')
    t.equal(fixed.code, 1, fixed.err)
    t.match(fixed.err, /the remedy setup cannot set the password .*somebody else changed it/)
    t.match(fixed.err, /still there: password-postgres/)
    t.equal(times(fixed.err, 'error password-postgres'), 1, 'told once')
    t.same(sound.surprises(fixed), ['password-postgres'], 'the other one is done')
    const mended = await sound.fix({}, '--yes')
    t.same(sound.surprises(mended), [], mended.err)
  })
})
