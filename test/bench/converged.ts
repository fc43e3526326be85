/**
 * The converged run against the shell steps it replaces, in turn, on one cluster: medians, their ratio, peak
 * memory, and the floor, which is an empty node program.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRoot } from '../support/command.ts'
import { Host } from '../support/host.ts'

const PAIRS = Number(process.argv[2] ?? 25)
if (!(PAIRS >= 1)) throw new Error(`no number of rounds: ${process.argv[2]}`)
const WARM_UP = 3

/** The old unit's steps on a host where everything is there already. */
const SHELL = `
set -eu
until pg_isready -q -h "$PGHOST" -p "$PGPORT"; do sleep 0.25; done
fresh=$(openssl rand -base64 32)
[ -s "$ENDOREG_VAULT_FILE" ] || printf '%s\\n' "$fresh" > "$ENDOREG_VAULT_FILE"
chown "$VAULT_OWNER" "$ENDOREG_VAULT_FILE"
chmod 0640 "$ENDOREG_VAULT_FILE"
cp "$ENDOREG_VAULT_FILE" "$ENDOREG_API_DIR/conf/db_pwd"
chown "$COPY_OWNER" "$ENDOREG_API_DIR/conf/db_pwd"
chmod 0600 "$ENDOREG_API_DIR/conf/db_pwd"
printf "ALTER ROLE \\"endoregDbLocal\\" PASSWORD '%s';" "$(cat "$ENDOREG_VAULT_FILE")" |
  $AS_POSTGRES psql -qX -h "$PGHOST" -p "$PGPORT" -U postgres -d postgres
`

type Sample = { readonly milliseconds: number; readonly kilobytes: number }

const teardowns: (() => unknown)[] = []
const host = await Host.create({ teardown: work => teardowns.push(work) })
try {
  const first = await host.setup()
  if (first.code !== 0) throw new Error(first.err)
  const booted = await host.boot()
  if (booted.code !== 0) throw new Error(booted.err)
  compare(host)
} finally {
  for (const teardown of teardowns) await teardown()
}

function compare({ env, folder }: Host): void {
  const empty = join(folder, 'empty.cjs')
  writeFileSync(empty, '')
  mkdirSync(join(folder, 'time'))
  const bin = fileURLToPath(new URL('../../bin/', import.meta.url))
  const shellEnv = {
    ...env,
    VAULT_OWNER: isRoot ? 'admin:sensitiveServices' : `${env['ENDOREG_VAULT_OWNER']}`,
    COPY_OWNER: isRoot ? 'endoreg-service-user:endoreg-service' : `${env['ENDOREG_SERVICE_USER']}`,
    AS_POSTGRES: isRoot ? 'runuser -u postgres --' : '',
  }
  const contenders = {
    shell: { command: ['sh', '-c', SHELL], env: shellEnv },
    setup: { command: [join(bin, 'postgres-endoreg-setup')], env },
    'setup with --check': { command: [join(bin, 'postgres-endoreg-setup'), '--check'], env },
    'endo-api-boot': { command: [join(bin, 'endo-api-boot')], env },
    'sync-password': { command: [join(bin, 'sync-password')], env },
    'empty node program': { command: ['node', empty], env },
  } as const
  const samples = new Map<string, Sample[]>()
  for (let pair = -WARM_UP; pair < PAIRS; pair++) {
    for (const [name, contender] of Object.entries(contenders)) {
      const sample = measure(contender.command, contender.env, join(folder, 'time/out'))
      if (pair >= 0) samples.set(name, [...(samples.get(name) ?? []), sample])
    }
  }
  const shell = median((samples.get('shell') ?? []).map(({ milliseconds }) => milliseconds))
  console.log(`node ${process.version}, ${PAIRS} rounds, medians`)
  for (const [name, list] of samples) {
    const time = median(list.map(({ milliseconds }) => milliseconds))
    const memory = median(list.map(({ kilobytes }) => kilobytes)) / 1024
    console.log(
      `${name.padEnd(20)} ${time.toFixed(1).padStart(7)} ms  ${(time / shell).toFixed(2)} of the shell  ${memory.toFixed(0).padStart(4)} MiB peak`,
    )
  }
}

/** One run under time(1), which knows the largest memory of the process tree's members. */
function measure(command: readonly string[], env: Readonly<Record<string, string>>, out: string): Sample {
  const started = performance.now()
  const { status, stderr } = spawnSync('/usr/bin/time', ['-f', '%M', '-o', out, ...command], { env })
  const milliseconds = performance.now() - started
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}`)
  return { milliseconds, kilobytes: Number(readFileSync(out, 'utf8').trim()) }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
