import type { Machine } from './machine.ts'

/** A system call of a command's main thread: the `when`-th of its name, as inject= of strace(1) counts. */
export type Moment = { readonly call: string; readonly when: number; readonly line: string }

/** What changes files, what starts programs, and the waits for them. Which of the kernel's names Node.js uses differs. */
export const CALLS = [
  ...['rename', 'mkdir', 'unlink', 'rmdir', 'fsync'],
  ...['clone', 'clone3', 'vfork', 'fork'],
  ...['epoll_wait', 'epoll_pwait'],
]
const WAITS = /^epoll/
const LOG = '/run/strace.log'

/** Runs a command under strace(1), and tells the moments of its main thread in their order. */
export async function momentsOf(machine: Machine, command: string): Promise<Moment[]> {
  await machine.run(`strace -qq -y -s 0 -o ${LOG} -e trace=${CALLS.join()} ${command}`)
  return momentsIn((await machine.run(['cat', LOG])).out)
}

/** The calls in what strace(1) wrote, each with how many of its name there were. */
export function momentsIn(log: string): Moment[] {
  const counts = new Map<string, number>()
  return log.split('\n').flatMap(line => {
    const [, call] = /^(\w+)\(/.exec(line) ?? []
    if (call === undefined) return []
    const when = (counts.get(call) ?? 0) + 1
    counts.set(call, when)
    return [{ call, when, line }]
  })
}

/**
 * Of `moments` the renamings and others that change something or start a program, `number` of them over the whole, and
 * a quarter more at which something is waited for: how often, differs from run to run.
 */
export function choose(moments: readonly Moment[], number: number): Moment[] {
  const renames = moments.filter(({ call }) => call === 'rename')
  const works = moments.filter(({ call }) => call !== 'rename' && !WAITS.test(call))
  const waits = moments.filter(({ call }) => WAITS.test(call))
  const chosen = new Set([
    ...renames,
    ...spread(works, Math.max(0, number - renames.length)),
    ...spread(waits, Math.ceil(number / 4)),
  ])
  return moments.filter(moment => chosen.has(moment))
}

const spread = <T>(items: readonly T[], number: number): T[] =>
  Array.from(
    { length: number },
    (_, index) => items[Math.floor(((index + 0.5) * items.length) / number)],
  ).filter(item => item !== undefined)

/**
 * Runs a command that gets a signal before that system call.
 *
 * @returns its exit code; null where the signal ended it
 */
export async function signalAt(
  machine: Machine,
  command: string,
  { call, when }: Moment,
  signal: 'KILL' | 'TERM',
): Promise<number | null> {
  const inject = `-e trace=${call} -e inject=${call}:signal=${signal}:when=${when}`
  // strace ends as the command did, and whoever waits for it too.
  const run = machine.run(`strace -qq -o /dev/null ${inject} ${command}`, { check: false })
  return (await run).code
}

/** The other accounts start it too. */
const WRAPPERS = '/opt/traced'

/**
 * Begins a command whose children that work with other accounts' ids meet `fault` (inject= of strace(1)), where Node.js
 * changes none itself (Debian 13): they are started with nothing of its environment but the PATH.
 */
export async function childrenMeet(machine: Machine, fault: string): Promise<string> {
  const strace = `strace -qq -o /dev/null -e trace=${fault.split(':')[0]} -e inject=${fault}`
  const script = `#!/bin/sh
case " $* " in *' as-account '*) exec ${strace} /usr/bin/node "$@" ;; esac
exec /usr/bin/node "$@"
`
  await machine.run(`mkdir -p ${WRAPPERS} && cat >${WRAPPERS}/node && chmod 755 ${WRAPPERS}/node`, {
    input: script,
  })
  return `env PATH=${WRAPPERS}:/usr/sbin:/usr/bin:/sbin:/bin`
}
