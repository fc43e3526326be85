import { readdirSync, readFileSync } from 'node:fs'
import type { Files } from '../../lib/server/access/terms.ts'

/** The files of this host. */
export const HOST_FILES: Files = {
  read: path => readFileSync(path, 'utf8'),
  list: path => readdirSync(path),
}
