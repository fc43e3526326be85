// The copyright file of the package: our licence, and that of each package whose code is in the bundles.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Licences whose whole text Debian keeps in one place (Debian Policy 12.5). */
const COMMON = { 'Apache-2.0': '/usr/share/common-licenses/Apache-2.0' }

/** The text of /usr/share/doc/PACKAGE/copyright for the checkout `root`, packages in the order of their names. */
export function copyright(root) {
  const paths = execFileSync(
    'npm',
    ['ls', '--omit=dev', '--omit=optional', '--omit=peer', '--all', '--parseable'],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const bundled = paths
    .trim()
    .split('\n')
    .slice(1)
    .filter(path => !path.endsWith('/typescript'))
    .sort()
    .map(licenceOf)
  return [
    readFileSync(join(root, 'LICENSE'), 'utf8'),
    'The commands contain code of these packages.\n',
    ...bundled,
  ].join('\n')
}

function licenceOf(path) {
  const { name, version, license, author } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  const head = `---- ${name} ${version}, ${license}\n`
  if (COMMON[license]) return `${head}The text of the licence is in ${COMMON[license]}\n`
  const file = readdirSync(path).find(entry => /^licen[cs]e/i.test(entry))
  const owner = typeof author === 'string' ? author : author?.name
  return head + (file ? readFileSync(join(path, file), 'utf8') : `Copyright (c) ${owner ?? 'its authors'}\n`)
}
