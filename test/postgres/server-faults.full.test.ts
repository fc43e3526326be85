import t from 'tap'
import { loseEachStatement } from '../support/lost-server.ts'

t.test('PostgreSQL is killed at each statement of a rotation', t =>
  loseEachStatement(t, ['sync-password', '--rotate'], 'killed'),
)
t.test('the session is cut at each statement of a setup', t =>
  loseEachStatement(t, ['postgres-endoreg-setup'], 'cut'),
)
t.test('PostgreSQL is killed at each statement of a setup', t =>
  loseEachStatement(t, ['postgres-endoreg-setup'], 'killed'),
)
