import { readFileSync } from 'node:fs'
import { basename, posix } from 'node:path'
import { errnoOf } from '../frame/failure.ts'
import type { DataFolder } from './data-folder.ts'
import type { Files } from './files.ts'

/** What Patroni writes above each configuration file of PostgreSQL that it makes (ConfigWriter in its config.py). */
const MARK = /^# It will be overwritten by Patroni!/m

/** The text of a configuration file. */
type Text = { readonly path: string; readonly text: string }

/**
 * Why a cluster belongs to Patroni, which writes its configuration anew and starts its server when it likes; undefined
 * where nothing says so.
 *
 * @param pid the server's first process, where it is one of this host
 */
export function whyPatroni(files: readonly Text[], pid: number | undefined): string | undefined {
  const marked = files.find(({ text }) => MARK.test(text))
  if (marked) return `${marked.path} says that Patroni overwrites it`
  return pid !== undefined && isOfPatroni(pid) ? `its server (pid ${pid}) was started by Patroni` : undefined
}

/**
 * Whether the process or one of those above it is Patroni, or it is in Patroni's unit: Patroni lets go of a server, which
 * is to survive it, and systemd keeps that in the unit (proc(5): stat, cmdline, cgroup).
 */
function isOfPatroni(pid: number): boolean {
  for (let next = pid, steps = 0; next > 1 && steps < 32; steps++) {
    if (/(?:^|\/)patroni[^/]*\.(?:service|scope)(?:\/|$)/m.test(read(next, 'cgroup'))) return true
    const [program = '', first = '', second = ''] = read(next, 'cmdline').split('\0')
    const names = [program, first].map(path => basename(path))
    if (names.includes('patroni') || (first === '-m' && second === 'patroni')) return true
    next = Number(/^PPid:\s*(\d+)$/m.exec(read(next, 'status'))?.[1] ?? 0)
  }
  return false
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch (error) {
    // It has ended, or belongs to another account.
    if (errnoOf(error)) return ''
    throw error
  }
}

type Place = Omit<DataFolder, 'major' | 'configFile'>

/** The files of a cluster that Patroni would have written. */
export function markedFiles({ path, hbaFile, identFile }: Place): string[] {
  const configuration = [path, posix.dirname(hbaFile)].map(folder => `${folder}/postgresql.conf`)
  return [...new Set([hbaFile, identFile, ...configuration])]
}

/**
 * Why the cluster belongs to Patroni; undefined where nothing says so.
 *
 * @param files as PostgreSQL's account may read them, at best `markedFiles` read together
 * @param pid the server's first process
 */
export function inspectPatroni(files: Files, place: Place, pid: number | undefined): string | undefined {
  const texts = markedFiles(place).flatMap((path): Text[] => {
    try {
      return [{ path, text: files.read(path) }]
    } catch (error) {
      if (errnoOf(error)) return []
      throw error
    }
  })
  return whyPatroni(texts, pid)
}
