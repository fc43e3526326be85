import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { BIN } from './checkout.ts'
import type { Result, RunOptions } from './command.ts'
import type { Host } from './host.ts'
import { outputOf } from './output.ts'

export type ShownSetting = {
  readonly name: string
  readonly value: string
  readonly origin: {
    readonly kind: string
    readonly file?: string | null
    readonly line?: number | null
    readonly database?: string | null
    readonly role?: string | null
  }
  readonly pendingRestart: boolean
  readonly afterRestart?: string
}

export type ShownRule = {
  readonly file: string
  readonly line: number
  readonly type: string
  readonly databases: readonly string[]
  readonly roles: readonly string[]
  readonly address: string | null
  readonly method: string
  readonly options: Readonly<Record<string, string>>
}

/** The document of show-psql-conf --json. */
export type Shown = {
  readonly source: 'server' | 'files'
  readonly version: string
  readonly places: Readonly<Record<'data' | 'settings' | 'hba' | 'ident', string | null>>
  readonly settings: readonly ShownSetting[]
  readonly errors: readonly {
    readonly in: string
    readonly file: string | null
    readonly line: number | null
    readonly message: string
  }[]
  readonly rules: readonly ShownRule[] | null
  readonly maps: readonly Readonly<Record<'map' | 'account' | 'role', string>>[] | null
  readonly newer: readonly string[]
  readonly unseen: readonly string[]
  readonly error?: {
    readonly code: number
    readonly message: string
    readonly cause: string
    readonly hint: string
  }
}

export type ShownResult = Result & { readonly shown: Shown }

/** Runs show-psql-conf --json. */
export async function show(host: Host, options: RunOptions = {}): Promise<ShownResult> {
  const result = await host.run('show-psql-conf', [], options)
  return {
    ...result,
    get json() {
      return result.json
    },
    get shown(): Shown {
      return JSON.parse(result.out)
    },
  }
}

/** All settings of that name, for the server first. */
export const settingsOf = ({ settings }: Shown, name: string): ShownSetting[] =>
  settings.filter(setting => setting.name === name)

/**
 * What show-psql-conf writes for people, on a terminal that is `columns` wide, or to pipes.
 *
 * @param redirect what the shell does with its output
 */
export async function showText(host: Host, columns?: number, redirect = ''): Promise<Omit<Result, 'json'>> {
  const command = `"$COMMAND" ${redirect}`
  const child = spawn(
    columns === undefined ? 'sh' : 'script',
    columns === undefined ? ['-c', command] : ['-qec', `stty cols ${columns}; ${command}`, '/dev/null'],
    {
      env: { ...host.env, SHELL: '/bin/sh', COMMAND: join(BIN, 'show-psql-conf') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  return outputOf(child)
}
