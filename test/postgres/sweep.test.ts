import t from 'tap'
import { sweepAll } from '../support/sweep-scenarios.ts'

sweepAll(t, 'a sample')
