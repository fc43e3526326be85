import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { findAccount, findGroup } from '../../lib/host/accounts.ts'
import { compareVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { FIXED_IDS } from './checkout.ts'
import { type Document, isRoot, type Result } from './command.ts'
import { Host } from './host.ts'
import { countPoints, type Point, runWithFault, type Traced, traceChildren } from './sweep.ts'

/** What a quick sweep tries: one of so many points for a kill, and one of twice as many for an error. */
const SAMPLE = 30
/**
 * How far beside its count a point is looked for, where a fault has met another call and the run did not come to the one that
 * was meant: each run has some calls more or less with which Node.js wakes itself.
 */
const BESIDE = [0, 1, -1, 2, -2, 3, -3]
/** How many points of a sweep may be missed by it: this part of them, and this many of a few. */
const MOST_MISSED = 0.2
const FEW = 2
const skip = spawnSync('strace', ['-V']).status === 0 ? false : 'no strace on this machine'

/** A small manifest: what is swept is each kind of change, not the number of roles. */
const MANIFEST = {
  roles: [{ name: 'endoregDbLocal', replication: true }, { name: 'reader' }],
  databases: [{ name: 'endoregDbLocal', owner: 'endoregDbLocal' }],
  hba: [
    { type: 'local', database: 'all', role: 'postgres', method: 'peer', map: 'superuser_map' },
    { type: 'host', database: 'all', role: 'all', address: 'loopback', method: 'scram-sha-256' },
  ],
  ident: [{ map: 'superuser_map', account: 'root', role: 'postgres' }],
}

/** Access rules that would shadow the declared ones, and the file of identities without ours. */
const OTHER_RULES = `host all postgres 127.0.0.1/32 scram-sha-256
local all postgres peer map=superuser_map
host all all ::1/128 reject
host all all all scram-sha-256
`

async function disturbRules(host: Host): Promise<void> {
  host.cluster.setRules(OTHER_RULES)
  for (const name of ['pg_hba.conf', 'pg_ident.conf'])
    rmSync(join(host.cluster.data, `${name}.endoreg-before`), { force: true })
  await host.cluster.reload()
}

type Scenario = {
  readonly name: string
  readonly traced: Traced
  /** Brings the host to where the run begins; it is converged before. */
  readonly prepare: (host: Host) => Promise<void>
  /** Whether children do the work of other accounts, as where Node.js changes no ids. */
  readonly children?: boolean
}

const foreign = async (host: Host): Promise<void> => {
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'by hand' NOREPLICATION`)
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a first setup',
    traced: ['postgres-endoreg-setup'],
    prepare: async host => {
      rmSync(host.vaultFolder, { recursive: true, force: true })
      rmSync(join(host.folder, 'state'), { recursive: true, force: true })
      await host.cluster.query('DROP DATABASE IF EXISTS "endoregDbLocal"')
      await host.cluster.query('DROP ROLE IF EXISTS "endoregDbLocal", reader')
      await disturbRules(host)
    },
  },
  {
    name: 'a drifted setup',
    traced: ['postgres-endoreg-setup'],
    prepare: async host => {
      await foreign(host)
      await disturbRules(host)
      chmodSync(host.vaultFile, 0o600)
      chmodSync(host.vaultFolder, 0o700)
    },
  },
  {
    name: 'sync-password',
    traced: ['sync-password'],
    prepare: async host => {
      await foreign(host)
      writeFileSync(host.copy, 'other\n')
    },
  },
  { name: 'sync-password --rotate', traced: ['sync-password', '--rotate'], prepare: async () => {} },
  {
    name: 'sync-password --rotate by children',
    traced: ['sync-password', '--rotate'],
    prepare: async () => {},
    children: true,
  },
]

async function converge(host: Host): Promise<string | undefined> {
  for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
    const { code, err } = await host.run(command)
    if (code !== 0) return `${command} ends with ${code}: ${err}`
  }
  return undefined
}

const passwordIn = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined

/** A vault file or its stage: what it holds, and "uid:gid mode". */
type Held = { readonly password: string; readonly owner: string }

function vaultAt(path: string): Held | undefined {
  const password = passwordIn(path)
  if (password === undefined) return undefined
  const { uid, gid, mode } = statSync(path)
  return { password, owner: `${uid}:${gid} ${(mode & 0o7777).toString(8)}` }
}

/** What both have in the end, and from their first moment where a run makes them. */
const finalOwner = ({ env }: Host): string => {
  const uid = findAccount(env['ENDOREG_VAULT_OWNER'] ?? 'admin')?.uid
  return `${uid}:${findGroup(env['ENDOREG_VAULT_GROUP'] ?? 'sensitiveServices')?.gid} 640`
}

/** Everything under the folders of ours that others may read. */
const open = (host: Host): string[] =>
  [host.vaultFolder, join(host.apiDir, 'conf'), join(host.folder, 'state')]
    .filter(folder => existsSync(folder))
    .flatMap(folder => readdirSync(folder).map(name => join(folder, name)))
    .filter(path => (lstatSync(path).mode & 0o007) !== 0)

/** Whether one of the passwords in the vault and its stage is the one that PostgreSQL has. */
async function logsIn(host: Host): Promise<boolean> {
  const [row] = await host.cluster.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`)
  for (const path of [host.vaultFile, `${host.vaultFile}.next`]) {
    const password = passwordIn(path)
    if (password === undefined) continue
    const scram = await ScramPassword.from(new Password(password))
    if ((await compareVerifier(String(row?.['rolpassword']), scram)) === 'same') return true
  }
  return false
}

/** What is wrong after a fault, before and after one more run; nothing where all is well. */
async function damage(
  host: Host,
  inUse: boolean,
  prior: Held | undefined,
  traced: Traced,
): Promise<string | undefined> {
  const found = vaultAt(host.vaultFile)
  if (found) {
    if (!/^[A-Za-z0-9+/]{43}=$/.test(found.password)) return 'the vault file is not whole'
    if (found.owner !== finalOwner(host) && !isDeepStrictEqual(found, prior))
      return `the vault file is ${found.owner}`
  } else if (prior) return 'the vault file is gone'
  const staged = vaultAt(`${host.vaultFile}.next`)
  if (staged && staged.owner !== finalOwner(host)) return `the next password is ${staged.owner}`
  if (open(host).length > 0) return `open to others: ${open(host).join(', ')}`
  if (inUse && !(await logsIn(host))) return 'no password logs in'
  const next = await host.run(traced[0])
  if (next.code !== 0) return `the next run ends with ${next.code}: ${next.err}`
  const check = await host.run(traced[0], ['--check'])
  if (check.code !== 0) return `the run after the next would change something: ${check.err}`
  if (!(await logsIn(host))) return 'no password logs in after the next run'
  const litter = [
    ...readdirSync(host.vaultFolder),
    ...readdirSync(join(host.apiDir, 'conf')),
    ...(existsSync(join(host.folder, 'state')) ? readdirSync(join(host.folder, 'state')) : []),
    ...readdirSync(host.cluster.data).filter(name => name.endsWith('.tmp')),
  ].filter(name => !/^(?:SCRT_password|db_pwd|db\.yaml|secret_key|verifiers\.\d+)$/.test(name))
  return litter.length > 0 ? `left behind: ${litter.join(', ')}` : undefined
}

async function freshHost(t: Test): Promise<Host> {
  const host = await Host.create(t)
  const manifest = join(host.folder, 'manifest.json')
  writeFileSync(manifest, JSON.stringify(MANIFEST))
  host.env['ENDOREG_MANIFEST'] = manifest
  host.env['ENDOREG_MANAGE_HBA'] = 'write'
  const problem = await converge(host)
  if (problem) throw new Error(problem)
  return host
}

/** What became of a sweep. */
type Swept = { survived: number; readonly missed: string[]; readonly problems: string[] }

/** Sweeps `points` on several hosts at once; tells for each what is wrong. */
async function sweep(
  hosts: readonly Host[],
  scenario: Scenario,
  points: readonly Point[],
  fault: string,
): Promise<Swept> {
  const pending = [...points]
  const swept: Swept = { survived: 0, missed: [], problems: [] }
  const worker = async (host: Host): Promise<void> => {
    const begin = await converge(host)
    if (begin) throw new Error(begin)
    for (let point = pending.shift(); point; point = pending.shift()) {
      const became = await suffer(host, scenario, point, fault)
      if (became === 'survived') swept.survived++
      else if (became === 'missed') swept.missed.push(point.shown)
      else swept.problems.push(`${point.shown} ${fault}: ${became.problem}`)
      if (became !== 'survived') {
        const left = await converge(host)
        if (left) {
          swept.problems.push(`${point.shown} ${fault}: and then ${left}`)
          return
        }
      }
    }
  }
  await Promise.all(hosts.map(worker))
  if (swept.missed.length > Math.max(FEW, points.length * MOST_MISSED))
    swept.problems.push(`${swept.missed.length} points were missed: ${swept.missed.join(', ')}`)
  return swept
}

/** Has a run meet one fault, and tells what became of the host. */
async function suffer(
  host: Host,
  { traced, prepare }: Scenario,
  point: Point,
  fault: string,
): Promise<'survived' | 'missed' | { problem: string }> {
  let counted: number | undefined
  for (const beside of BESIDE) {
    await prepare(host)
    const inUse = await logsIn(host).catch(() => false)
    const prior = vaultAt(host.vaultFile)
    const aimed = { ...point, when: counted ?? Math.max(1, point.when + beside) }
    const { result, met, when } = await runWithFault(host, traced, aimed, fault)
    counted = when
    // Node.js aborts or hangs where its own wake-up calls fail, which no disk or network makes them do.
    if (result.signal !== null && !met) continue
    const problem = judge(result, fault) ?? (await damage(host, inUse, prior, traced))
    if (problem !== undefined) return { problem }
    if (met) return 'survived'
  }
  return 'missed'
}

/** A killed run says nothing; one that met an error says which, with an exit code that means something. */
function judge({ code, signal, out, err }: Result, fault: string): string | undefined {
  if (code === 0 || (signal !== null && fault === 'signal=KILL')) return undefined
  if (signal !== null) return `it does not end by itself, but with ${signal}: ${err}`
  // Standard output itself may be what met the fault.
  if (out === '') return MEANT.has(code ?? 0) && err !== '' ? undefined : `exit code ${code}: ${err}`
  const { error }: Partial<Document> = JSON.parse(out)
  if (!error || error.code !== code || !MEANT.has(code ?? 0)) return `exit code ${code}: ${err}`
  return error.message && error.cause && error.hint ? undefined : `an error that says too little: ${err}`
}

const MEANT: ReadonlySet<number> = new Set([69, 73, 74, 75, 77, 78])

const FAULTS = ['signal=KILL', 'error=ENOSPC', 'error=EIO', 'error=EACCES'] as const

/** One test for each scenario: a run meets a fault at each of its changing system calls, or at a sample of them. */
export function sweepAll(t: Test, extent: 'every point' | 'a sample'): void {
  const full = extent === 'every point'
  for (const scenario of SCENARIOS) {
    const { children = false } = scenario
    const unfit = children && !isRoot ? 'an ordinary account has no other to work as' : skip
    t.test(
      `${scenario.name}, with a fault at each of its changing system calls`,
      { skip: unfit },
      async t => {
        const hosts = full ? [await freshHost(t), await freshHost(t)] : [await freshHost(t)]
        for (const each of children ? hosts : []) {
          each.env['PATH'] = `${FIXED_IDS}:${each.env['PATH']}`
          traceChildren(each)
        }
        const [host] = hosts
        if (!host) return
        await scenario.prepare(host)
        const every = await countPoints(host, scenario.traced, children)
        t.ok(every.length > 10, `${every.length} points`)
        for (const [index, fault] of FAULTS.entries()) {
          const step = index === 0 ? SAMPLE : 2 * SAMPLE
          const points = full ? every : every.filter((_, at) => at % step === (7 * index + 1) % step)
          const { survived, missed, problems } = await sweep(hosts, scenario, points, fault)
          t.same(problems, [], fault)
          t.comment(
            `figure: ${scenario.name}, ${fault}: ${survived} of ${points.length} points survived, of ${every.length}; not met: ${missed.join(', ') || 'none'}`,
          )
        }
      },
    )
  }
}
