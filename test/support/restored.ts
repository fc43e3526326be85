import type { Test } from 'tap'
import type { Host } from './host.ts'

/** Asserts that everything is what it was, and nothing else is there. */
export function same(t: Test, now: ReadonlyMap<string, string>, then: ReadonlyMap<string, string>): void {
  for (const [name, text] of then) t.equal(now.get(name), text, name)
  t.same([...now.keys()], [...then.keys()])
}

/** The names of all databases of the cluster. */
export async function databases({ cluster }: Host): Promise<string[]> {
  const rows = await cluster.query('SELECT datname AS name FROM pg_database ORDER BY 1')
  return rows.map(row => String(row['name']))
}

/** Asserts that the managed role logs in with what is in the vault. */
export async function logsIn(t: Test, host: Host): Promise<void> {
  const { code, json, err } = await host.setup('--check')
  t.equal(code, 0, err)
  t.ok(
    json.checks.some(({ name, ok }) => ok && name.startsWith('login endoregDbLocal')),
    'it logs in',
  )
}
