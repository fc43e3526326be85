import t from 'tap'
import { killAt, skip } from '../support/restore-kill.ts'

t.test('a restore that is killed at twenty moments', { skip }, t => killAt(t, 20))
