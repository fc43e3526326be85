import { request } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { type Fact, known, unknown } from './fact.ts'

/** Milliseconds that an answer gets. */
const LIMIT = 10_000

/** How the application answers at `url`: its status by number and name ("200 OK"). What it answers beside is not read. */
export const askHealth = (url: string): Promise<Fact<string>> =>
  new Promise(resolve => {
    const ask = url.startsWith('https:') ? requestSecurely : request
    const asking = ask(
      url,
      { agent: false, signal: AbortSignal.timeout(LIMIT) },
      ({ statusCode = 0, statusMessage = '' }) => {
        resolve(known(`${statusCode} ${statusMessage}`.trim().slice(0, 60)))
        asking.destroy()
      },
    )
    asking.on('error', error => {
      const late = error.name === 'AbortError' || error.name === 'TimeoutError'
      resolve(unknown(late ? `no answer within ${LIMIT / 1000} s` : error.message))
    })
    asking.end()
  })
