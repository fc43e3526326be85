import t from 'tap'
import { nearest } from '../../lib/frame/text.ts'

const KNOWN = ['ENDOREG_DB_NAME', 'ENDOREG_DB_USER', 'PGPORT', '--check', '--json']

t.test('the nearest name by edit distance', async t => {
  t.equal(nearest('ENDOREG_DB_NAMES', KNOWN), 'ENDOREG_DB_NAME')
  t.equal(nearest('ENDOREG_DB_USR', KNOWN), 'ENDOREG_DB_USER')
  t.equal(nearest('--chek', KNOWN), '--check')
  t.equal(nearest('PGPORT', KNOWN), 'PGPORT')
})

t.test('the first of several that are equally near', async t => {
  t.equal(nearest('ac', ['ab', 'ad']), 'ab')
  t.equal(nearest('ac', ['ad', 'ab']), 'ad')
})

t.test('a short name may be three edits away and no more', async t => {
  t.equal(nearest('abcd', ['abxyz']), 'abxyz')
  t.equal(nearest('abcd', ['wxyz']), undefined)
})

t.test('a long name may be a third of its length away and no more', async t => {
  const name = 'abcdefghijkl'
  t.equal(nearest(name, ['abcdefgh____']), 'abcdefgh____')
  t.equal(nearest(name, ['abcdefg_____']), undefined)
})

t.test('nothing known, nothing near', async t => {
  t.equal(nearest('anything', []), undefined)
  t.equal(nearest('SOMETHING_ELSE_ENTIRELY', KNOWN), undefined)
})
