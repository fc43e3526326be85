import { lookup } from 'node:dns/promises'
import { isRoot } from './command.ts'

/**
 * The addresses of localhost, sorted: both loopbacks on the machine that root's tests make for themselves; elsewhere what the
 * system's resolver gives.
 */
export const LOOPBACKS: readonly string[] = isRoot
  ? ['127.0.0.1', '::1']
  : [...new Set((await lookup('localhost', { all: true })).map(({ address }) => address))].sort()
