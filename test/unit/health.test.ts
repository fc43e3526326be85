import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import t from 'tap'
import { askHealth } from '../../lib/doctor/facts/health.ts'

t.test('how an application answers over HTTP', async t => {
  const server = createServer((request, response) => {
    if (request.url === '/silent') return request.socket.destroy()
    response.writeHead(Number(request.url?.slice(1)), { Location: '/500' })
    // It never ends: what follows the status is not waited for.
    return response.write('x')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`
  t.same(await askHealth(url('200')), { known: true, value: '200 OK' })
  t.same(await askHealth(url('302')), { known: true, value: '302 Found' }, 'it is not led elsewhere')
  t.same(await askHealth(url('500')), { known: true, value: '500 Internal Server Error' })
  t.match(await askHealth(url('silent')), { known: false, why: /hang up|reset/ })
  t.match(await askHealth(url('200').replace('http:', 'https:')), { known: false, why: /./ })
})

t.test('whoever has the port answers with something else', async t => {
  for (const [said, wanted] of [
    [
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      { known: true, value: '101 Switching Protocols' },
    ],
    ['', { known: false }],
    ['no HTTP\r\n\r\n', { known: false }],
  ] as const) {
    const server = createTcpServer(socket => socket.on('error', () => {}).end(said))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    t.match(await askHealth(`http://127.0.0.1:${port}/`), wanted, said)
    server.close()
  }
})

t.test('nobody is there', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  for (const host of ['127.0.0.1', 'localhost'])
    t.match(await askHealth(`http://${host}:${port}/`), { known: false, why: /ECONNREFUSED/ }, host)
})
