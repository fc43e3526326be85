import t from 'tap'
import { killAt, skip } from '../support/restore-kill.ts'

t.test('a restore that is killed at three moments', { skip }, t => killAt(t, 3))
