/**
 * What is made of the table of settings (lib/frame/settings.ts); `npm run generate` writes it:
 *
 * - the table in README.md
 * - units/provision.env, the settings file of the Debian package
 * - units/settings.json, of which the NixOS module makes its options
 */
import { readFileSync } from 'node:fs'
import { type Setting, settingRows } from '../../lib/frame/settings.ts'

const ROOT = new URL('../../', import.meta.url)
/** The longest line of the settings file. */
const WIDTH = 110

/** The default of the setting `name`, which has one. */
export function defaultOf(name: string): string {
  const usual = settingRows().find(row => row.name === name)?.default
  if (usual === undefined) throw new Error(`${name} has no default`)
  return usual
}

/** The files that are made of the table, by their paths in the repository, with the text that they should have. */
export const settingsFiles = (): ReadonlyMap<string, string> =>
  new Map([
    ['README.md', readme(readFileSync(new URL('README.md', ROOT), 'utf8'))],
    ['units/provision.env', settingsFile()],
    ['units/settings.json', `${JSON.stringify(settingRows().map(forNix), undefined, 2)}\n`],
  ])

/** README.md with the table of today. */
const readme = (text: string): string =>
  text.replace(
    /^\| name \| default \| meaning \|\n\| --- \| --- \| --- \|\n(?:\|.*\n)*/m,
    `| name | default | meaning |\n| --- | --- | --- |\n${settingRows().map(readmeRow).join('')}`,
  )

const readmeRow = ({ name, default: usual, otherwise, help }: Setting): string =>
  `| \`${name}\` | ${usual === undefined ? (otherwise ?? 'none') : `\`${usual}\``} | ${help} |\n`

function settingsFile(): string {
  const head = `# Settings of endoreg-provision; README.md in /usr/share/doc/endoreg-provision has them as a table.
# Every line is optional and shows the default. Only root may be able to write this file.
# A wrong name or value stops the commands before they touch anything (exit code 78).
`
  const paragraphs = settingRows().map(({ name, default: usual, shown, otherwise, help, more }) => {
    const without = otherwise && !shown ? [`By default: ${otherwise}.`] : []
    const comment = [help, ...without, ...(more ? [more] : [])].join(' ')
    return `\n${wrap(plain(comment))}#${name}=${usual ?? shown ?? ''}\n`
  })
  return head + paragraphs.join('')
}

/** Without what only Markdown understands. */
const plain = (text: string): string => text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '')

/** `text` as comments. */
function wrap(text: string): string {
  const lines = ['#']
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1)} ${word}`
    if (line.length <= WIDTH) lines.splice(-1, 1, line)
    else lines.push(`# ${word}`)
  }
  return `${lines.join('\n')}\n`
}

/** A row as the module reads it: values that are numbers are numbers there. */
function forNix({ name, kind, default: usual, example, help }: Setting) {
  const value = (text: string): string | number =>
    kind === 'port' || kind === 'seconds' ? Number(text) : text
  return {
    name,
    kind,
    ...(usual === undefined ? {} : { default: value(usual) }),
    example: value(example),
    description: help,
  }
}
