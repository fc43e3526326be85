import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { asNamed } from '../../lib/server/clusters.ts'

t.test('the folder of a socket by another name', async t => {
  const folder = t.testdir()
  const [real, link] = [join(folder, 'run'), join(folder, 'var-run')]
  mkdirSync(join(real, 'postgresql'), { recursive: true })
  symlinkSync(real, link)
  const found = { data: '/srv/pg', pid: 7, port: 5432, folder: join(link, 'postgresql') }
  const host = join(real, 'postgresql')
  t.same(asNamed(found, host), { ...found, folder: host })
  t.same(asNamed(found, real), found, 'another folder')
  t.same(asNamed({ ...found, folder: '' }, host), { ...found, folder: '' }, 'none')
  t.same(asNamed({ ...found, folder: '/nosuch' }, host), { ...found, folder: '/nosuch' })
})
