import t from 'tap'
import { needsRoot } from '../support/host.ts'
import { meetObstacles } from '../support/obstacles.ts'

t.test(
  'whatever keeps a file from being replaced is found before PostgreSQL has another password',
  needsRoot,
  t => meetObstacles(t),
)
