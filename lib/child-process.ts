import type ChildProcess from 'node:child_process'
import { createRequire } from 'node:module'

/** Node's module for processes, loaded when it is needed: a converged run starts none. */
export const childProcess = (): typeof ChildProcess => createRequire('/')('node:child_process')
