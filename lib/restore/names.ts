import { RESTORING } from '../backup/terms.ts'

/**
 * new    a database that is being restored: it gets its name when it holds what the backup says
 * old    the one that had the name, with nothing in it that the backup made before does not hold: it is dropped
 * kept   the one that had the name, with more in it: the operator decides
 */

/** What a new database is called, and an old one; a number follows. */
export const NEW = `${RESTORING}new-`
export const OLD = `${RESTORING}old-`
/** None of those that a restore takes away and a backup leaves out. */
export const KEPT = 'endoreg-kept-'

/** The first name with `prefix` that none of `taken` has; it is taken then. */
export function freeName(prefix: string, taken: Set<string>): string {
  for (let number = 1; ; number++) {
    const name = `${prefix}${number}`
    if (taken.has(name)) continue
    taken.add(name)
    return name
  }
}

/** Those that a connection to administer the server is in: they are not replaced, but restored in place. */
export const isInPlace = (database: string): boolean => database === 'postgres' || database === 'template1'
