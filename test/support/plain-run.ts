import { join } from 'node:path'
import { Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { Interruption } from '../../lib/frame/interruption.ts'
import { Report } from '../../lib/frame/report.ts'
import type { Run } from '../../lib/frame/run.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'

/** The part of tap's `t` that is needed here. */
type Folders = { testdir: (content: Record<string, string | Record<string, string>>) => string }

const interruption = new Interruption(() => {})

/** A run with options, whose settings name places in a folder of the test: no server is there. */
export function plainRun(
  t: Folders,
  flags: readonly string[] = [],
  values: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Run {
  const folder = t.testdir({ 'provision.env': '', socket: {} })
  const places = {
    PGHOST: join(folder, 'socket'),
    ENDOREG_STATE_DIR: join(folder, 'state'),
    ENDOREG_BACKUP_DIR: join(folder, 'backups'),
  }
  return {
    settings: loadSettings({ ...places, ...env }, join(folder, 'provision.env')),
    check: false,
    flags: new Set(flags),
    values: new Map(Object.entries(values)),
    report: new Report({ command: 'test', check: false, json: false }),
    deadline: new Deadline(1, systemClock),
    interruption,
  }
}
