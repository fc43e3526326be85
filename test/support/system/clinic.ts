import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Base, prepareBase, type Release } from './base.ts'
import type { Machine } from './machine.ts'
import type { MachineOptions } from './options.ts'
import { beside } from './program.ts'
import { missing } from './requirements.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const VAULT = '/etc/secrets/vault/SCRT_local_password_maintenance_password'
export const CHECKOUT = '/var/endoreg-service-user/endo-api'
const SERVICE = 'endoreg-service-user:endoreg-service'

/** tap's option for a test that boots machines: what is missing for it here, or false. */
export const boots = { skip: missing() ?? false } as const

export const RELEASES: readonly Release[] = ['bookworm', 'trixie']

/** The package that `npm run deb` has built. */
export function packageFile(): string {
  const deb = readdirSync(ROOT).find(name => /^endoreg-provision_.*_all\.deb$/.test(name))
  if (!deb) throw new Error('build the package first: npm run deb')
  return join(ROOT, deb)
}

/** Debian with the package, installed as an operator would, and with packages of Debian's beside it. */
export const clinic = (release: Release, beside: readonly string[] = []): Promise<Base> =>
  prepareBase(release, { deb: packageFile(), beside })

/** A host as the operator leaves it before its first boot: the API's checkout, and how the API is started. */
export function host(
  settings: Readonly<Record<string, string>> = {},
  options: MachineOptions = {},
): MachineOptions {
  const lines = { ENDOREG_API_COMMAND: '"/usr/bin/python3 api.py"', ...settings }
  return {
    ...options,
    files: {
      [`${CHECKOUT}/api.py`]: { text: readFileSync(beside('api.py')), owner: SERVICE },
      '/etc/endoreg/provision.env': {
        text: Object.entries(lines)
          .map(([name, value]) => `${name}=${value}\n`)
          .join(''),
      },
      ...options.files,
    },
    commands: [`chown ${SERVICE} ${CHECKOUT}`, ...(options.commands ?? [])],
  }
}

/** What the API answers over HTTP, or undefined where it does not. */
export async function askApi(machine: Machine): Promise<unknown> {
  const { code, out } = await machine.run('curl --silent --fail --max-time 5 http://127.0.0.1:8000/', {
    check: false,
  })
  return code === 0 ? JSON.parse(out) : undefined
}

/** Waits until the API answers as the application's role, which it can only with the right password. */
export const apiAnswers = (machine: Machine): Promise<void> =>
  machine.waitFor('the API answers', async () => (await askApi(machine)) !== undefined)
