import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync } from 'node:fs'
import { join } from 'node:path'
import { runner } from './host.ts'

/** tap's `skip` for a test that needs a certificate. */
export const withoutOpenssl: string | false = hasOpenssl() ? false : 'without openssl: no logins over TLS'

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'])
    return true
  } catch {
    return false
  }
}

/** A certificate of its own for the server whose data folder that is. */
export function makeCertificate(folder: string): void {
  const [key, certificate] = [join(folder, 'server.key'), join(folder, 'server.crt')]
  const subject = ['-x509', '-nodes', '-subj', '/CN=test', '-days', '2']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  execFileSync('openssl', ['req', ...subject, ...curve, '-keyout', key, '-out', certificate], {
    stdio: 'pipe',
  })
  chmodSync(key, 0o600)
  for (const path of [key, certificate]) chownSync(path, runner().uid, runner().gid)
}
