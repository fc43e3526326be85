import type { Clock } from '../frame/deadline.ts'
import type { Command, Steps } from '../frame/run.ts'
import { type Host, main } from '../frame/script.ts'
import { loadSettings } from './settings-file.ts'

const host: Host = {
  loadSettings,
  metrics: async (of, run) => {
    // Loaded only where metrics are left.
    const { leave, leaveAtOnce } = await import('./metrics.ts')
    const { describeRun } = await import('../frame/metrics.ts')
    return {
      end: code => leave(run, describeRun(of, run, code)),
      interrupted: code => leaveAtOnce(run, describeRun(of, run, code)),
    }
  },
}

/** Does the steps of a command in the frame, on this host; the process ends with them. */
export async function script(command: Command, steps: Steps, clock?: Clock): Promise<never> {
  // A command says its steps first: the constants that stand below them are there once its file is done.
  await Promise.resolve()
  return main(command, steps, host, clock)
}
