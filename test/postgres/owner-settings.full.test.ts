import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { saveUnder, TARGETS, workUnder } from '../support/owner-settings.ts'

t.test('setup, show and diagnosis, whatever the owners have set', t => workUnder(t, TARGETS))

t.test('backup and restore, whatever the owners have set', needsPrograms, t => saveUnder(t, TARGETS))
