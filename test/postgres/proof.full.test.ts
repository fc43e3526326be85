import t from 'tap'
import { isRoot } from '../support/command.ts'
import { meetImpostors } from '../support/impostors.ts'

const bothLoopbacks = { skip: isRoot ? false : 'localhost need not be ::1 here' } as const

t.test('whoever takes an address before PostgreSQL does, and whatever it says', bothLoopbacks, t =>
  meetImpostors(t),
)
