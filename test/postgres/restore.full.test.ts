import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { restoreWhole } from '../support/whole-restore.ts'

t.test('200 MB with everything in it: backup, wreck, restore', needsPrograms, t => restoreWhole(t, 200))
