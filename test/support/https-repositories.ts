import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { asService } from './command.ts'

/** tap's option for a test that needs git over https: why it is skipped, or false. */
export const needsHttps = {
  skip:
    spawnSync('openssl', ['version']).error || spawnSync('git', ['ls-remote', 'https://127.0.0.1:1/']).error
      ? 'needs git and openssl: a server with a certificate'
      : false,
} as const

/** Makes an authority and the certificate that it signs for localhost, with openssl's own settings for neither. */
const CERTIFICATES = `
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=clinic -keyout ca.key -out ca.pem -days 2 \
    -addext keyUsage=keyCertSign
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
  echo subjectAltName=DNS:localhost >server.ext
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem`

/** Makes them in `folder`: ca.pem, server.key, server.pem and others. */
export const makeCertificates = (folder: string): void =>
  void execFileSync('sh', ['-ec', CERTIFICATES], { cwd: folder, stdio: 'pipe' })

/** A server that has the repositories in a folder for git over https, by git's own http-backend(1). */
export type HttpsRepositories = {
  /** The address of the folder. */
  readonly url: string
  /** The certificate of the authority, which no host trusts unasked. */
  readonly authority: string
  /** From now on nobody answers there; until `up`. */
  readonly down: () => Promise<void>
  readonly up: () => Promise<void>
}

/**
 * @param repositories the folder that is served, of the service account's
 * @param folder for its key and certificates
 */
export async function serveRepositories(
  t: { teardown: (work: () => unknown) => void },
  repositories: string,
  folder: string,
): Promise<HttpsRepositories> {
  makeCertificates(folder)
  const read = (name: string): Buffer => readFileSync(join(folder, name))
  const server = createServer({ key: read('server.key'), cert: read('server.pem') }, (request, response) =>
    answer(repositories, request, response),
  )
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }
  const down = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  const port = await listen(0)
  t.teardown(down)
  return {
    url: `https://localhost:${port}`,
    authority: join(folder, 'ca.pem'),
    down,
    up: async () => void (await listen(port)),
  }
}

/** What a request is to a program of the Common Gateway Interface (RFC 3875), and what it answers. */
function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '', 'https://localhost')
  const header = (name: string): string => String(request.headers[name] ?? '')
  const [program, args] = asService('exec git http-backend')
  const backend = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: header('git-protocol'),
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: header('content-type'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
    },
  })
  backend.stdin.on('error', () => {})
  request.pipe(backend.stdin)
  const said: Buffer[] = []
  backend.stdout.on('data', (chunk: Buffer) => said.push(chunk))
  backend.once('close', () => {
    const all = Buffer.concat(said)
    const end = all.indexOf('\r\n\r\n')
    const headers = all.toString('latin1', 0, end).split('\r\n')
    for (const line of headers) {
      const [name = '', value = ''] = line.split(': ')
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
      else if (name) response.setHeader(name, value)
    }
    response.end(all.subarray(end + 4))
  })
}
