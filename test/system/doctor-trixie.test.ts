import t from 'tap'
import { tryBrokenHosts } from '../support/system/broken-hosts/try.ts'

tryBrokenHosts(t, 'trixie')
