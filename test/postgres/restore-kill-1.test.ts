import t from 'tap'
import { killEverywhere, skip } from '../support/restore-kill.ts'

t.test('killed anywhere, a restore loses nothing', { skip }, t => killEverywhere(t, 0, 2))
