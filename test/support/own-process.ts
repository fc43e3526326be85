import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Runs a script in a process of its own, whose environment and standard error are the test's to choose.
 *
 * @param script TypeScript that imports from the checkout as a file in its root would
 * @returns what it wrote. Throws where it fails.
 */
export function inOwnProcess(
  script: string,
  { env = {}, stderr = 'pipe' }: { env?: NodeJS.ProcessEnv; stderr?: 'pipe' | number } = {},
): { out: string; err: string } {
  const { outputFiles } = buildSync({
    stdin: { contents: script, resolveDir: ROOT, loader: 'ts' },
    ...{ bundle: true, platform: 'node', format: 'esm', packages: 'external', write: false },
  })
  const text = outputFiles?.[0]?.text ?? ''
  const {
    status,
    stdout,
    stderr: said,
  } = spawnSync(process.execPath, ['--input-type=module', '-e', text], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', stderr],
  })
  if (status !== 0) throw new Error(`it ended with ${status}: ${said}`)
  return { out: stdout, err: said ?? '' }
}
