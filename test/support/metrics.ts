import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** tap's option for a test that needs promtool: why it is skipped, or false. */
export const needsPromtool = {
  skip: spawnSync('promtool', ['--version']).error ? "needs promtool (Debian's package prometheus)" : false,
} as const

/** What promtool says of a program's input, with its exit code in front; "0" where it has nothing to say. */
export function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', [...args], { input, encoding: 'utf8' })
  return `${status} ${stdout}${stderr}`.trim()
}

/** The files that node_exporter's textfile collector would read in `folder`: their text by their name. */
export const collected = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder)
      .filter(name => name.endsWith('.prom'))
      .sort()
      .map(name => [name, readFileSync(join(folder, name), 'utf8')]),
  )

/** Every value in `folder` by its name and labels, as a query would show them. Fails where the collector would. */
export function values(folder: string): Record<string, number> {
  const found: Record<string, number> = {}
  const about = new Map<string, string>()
  for (const [file, text] of Object.entries(collected(folder))) {
    for (const line of text.split('\n').filter(Boolean)) {
      const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
      if (word !== undefined) {
        const known = about.get(`${word} ${name}`)
        if (known !== undefined && known !== rest) throw new Error(`${file}: another ${word} of ${name}`)
        about.set(`${word} ${name}`, rest)
        continue
      }
      const [, series = '', value = ''] = /^(\S+\{.*\}|\S+) (\S+)$/.exec(line) ?? []
      if (series in found) throw new Error(`${file}: ${series} is in another file too`)
      found[series] = Number(value)
    }
  }
  return found
}
