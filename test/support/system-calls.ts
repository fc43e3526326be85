import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BIN } from './checkout.ts'
import { type Result, runCommand } from './command.ts'
import type { Host } from './host.ts'

/** tap's option for a test that needs strace: why it is skipped, or false. */
export const needsStrace = {
  skip: spawnSync('strace', ['-V']).status === 0 ? false : 'no strace on this machine',
} as const

/** One system call that succeeded, with every handle and every /proc/self/fd resolved to the path behind it. */
export type Call = {
  readonly name: string
  /** What it is about: a path, or a socket as strace(1) writes it. */
  readonly target: string
  /** The second path of link and rename. */
  readonly to: string
  /** Flags and mode of openat, mode of mkdir and fchmod. */
  readonly rest: string
  /** The bytes that write and its like give, as many as strace shows. */
  readonly text: string
}

/** The calls with which files are changed, put on the disk and named, and with which PostgreSQL is told something. */
const TRACED = [
  ...['openat', 'mkdir', 'mkdirat', 'write', 'writev', 'pwrite64', 'pwritev', 'sendto', 'ftruncate'],
  ...['fsync', 'fdatasync', 'fchown', 'fchmod', 'fchmodat', 'chmod', 'chown', 'lchown', 'fchownat'],
  ...['link', 'linkat', 'symlink', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir'],
]

/**
 * Runs a command of the host's to its end, and tells what it and its children called, in order.
 *
 * @param as begins its command line, where that is to have another account's ids
 */
export async function record(
  host: Host,
  command: string,
  args: readonly string[] = [],
  as: readonly string[] = [],
): Promise<{ result: Result; calls: readonly Call[] }> {
  const log = join(host.folder, 'calls.log')
  const options = ['-f', '-qq', '-yy', '-s', '1500', '--seccomp-bpf', '-e', 'signal=none', '-o', log]
  const program = [...options, '-e', `trace=${TRACED.join()}`, ...as, join(BIN, command)]
  const result = await runCommand('strace', [...program, '--json', ...args], { env: host.env })
  return { result, calls: parseCalls(readFileSync(log, 'utf8')) }
}

/** The calls in what `strace -f -yy` wrote; those that failed are left out. */
export function parseCalls(log: string): Call[] {
  const calls: Call[] = []
  const begun = new Map<string, string>()
  const handles = new Map<string, string>()
  for (const line of log.split('\n')) {
    const [, pid = '', body = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    const [, first] = /^(.*) <unfinished \.\.\.>$/.exec(body) ?? []
    if (first !== undefined) {
      begun.set(pid, first)
      continue
    }
    const [, resumed] = /^<\.\.\. \w+ resumed>(.*)$/.exec(body) ?? []
    const call = parseCall(resumed === undefined ? body : `${begun.get(pid) ?? ''}${resumed}`, pid, handles)
    if (call) calls.push(call)
  }
  return calls
}

const STRING = /"((?:[^"\\]|\\.)*)"/g

function parseCall(text: string, pid: string, handles: Map<string, string>): Call | undefined {
  const [, name = '', given = '', result = ''] = /^(\w+)\((.*)\)\s+= (\S.*)$/.exec(text) ?? []
  if (name === '' || /^[-?]/.test(result)) return undefined
  const resolve = (path: string): string =>
    path.replace(
      /^\/proc\/self\/fd\/(\d+)/,
      (whole, number: string) => handles.get(`${pid} ${number}`) ?? whole,
    )
  const strings = [...given.matchAll(STRING)].map(([, escaped = '']) => unquote(escaped))
  const [, handle = ''] = /^\d+<(.*?)>(?:, |$)/.exec(given) ?? []
  const call = { name, target: handle, to: '', rest: given, text: '' }
  if (name === 'openat') {
    const [, number = '', opened = ''] = /^(\d+)<(.*)>$/.exec(result) ?? []
    handles.set(`${pid} ${number}`, opened)
    return { ...call, target: opened, rest: given.replace(STRING, '') }
  }
  if (/^(?:p?writev?(?:64)?|sendto)$/.test(name)) return { ...call, text: strings[0] ?? '', rest: '' }
  if (strings.length === 0) return call
  // Each path stands behind the handle of the folder that it is relative to, where the call has one.
  const folders = [...given.matchAll(/(?:AT_FDCWD|\d+)<([^>]*)>, "/g)].map(([, folder = '']) => folder)
  const [from = '', to = ''] = strings.map((path, index) => {
    const known = resolve(path)
    return known.startsWith('/') ? join(known) : join(folders[index] ?? '', known)
  })
  return { ...call, target: from, to, rest: given.replace(STRING, '') }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' }

const unquote = (text: string): string =>
  text.replace(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  )

/** The statements of one message to PostgreSQL (protocol 3.0, "Query"); undefined for any other call. */
export const statementOf = ({ target, text }: Call): string | undefined =>
  isSocket(target) && text.startsWith('Q\0') ? text.slice(5).replace(/\0$/, '') : undefined

export const isSocket = (target: string): boolean => /^(?:UNIX|TCP|socket)/.test(target)

export const isIn = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(`${folder}/`)

/** Whether `path` is called like what has not got its name yet. */
export const isTemporary = (path: string): boolean => /^\..+\.(?:tmp|partial)$/.test(basename(path))

/** The calls that change something in `folder`, or only open a file there for writing. */
export const changesIn = (calls: readonly Call[], folder: string): string[] =>
  calls
    .filter(({ name, target, to, rest }) => {
      if (name === 'openat' && !/O_(?:CREAT|WRONLY|RDWR|TRUNC)/.test(rest)) return false
      return isIn(target, folder) || (to !== '' && isIn(to, folder))
    })
    .map(({ name, target, to }) => [name, target, to].join(' ').trim())

/**
 * What a run did to `folder` and told PostgreSQL, one step for each: "name FILE", "remove FILE", "sync FOLDER", "tell
 * STATEMENT", "log in". Paths are relative to it.
 */
export function steps(calls: readonly Call[], folder: string): string[] {
  const shown = (path: string): string => path.slice(folder.length + 1)
  return calls.flatMap(call => {
    const { name, target, to, text } = call
    const statement = statementOf(call)
    if (statement !== undefined) return [`tell ${statement.split('\n')[0]}`]
    // The client's last message of SCRAM (RFC 5802): its channel binding comes first.
    if (/^TCP/.test(target) && text.startsWith('p\0') && text.includes('c=biws')) return ['log in']
    if (/^(?:link|rename)/.test(name))
      return isIn(to, folder) && !isTemporary(to) ? [`name ${shown(to)}`] : []
    if (!isIn(target, folder)) return []
    if (/^unlink/.test(name)) return isTemporary(target) ? [] : [`remove ${shown(target)}`]
    return /^f(?:data)?sync$/.test(name) ? [`sync ${shown(target)}`] : []
  })
}
