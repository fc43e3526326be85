import { type IncomingMessage, request } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { type Fact, known, unknown } from './fact.ts'

/** Milliseconds that an answer gets. */
const LIMIT = 10_000

/** How the application answers at `url`: its status by number and name ("200 OK"). What it answers beside is not read. */
export const askHealth = (url: string): Promise<Fact<string>> =>
  new Promise(resolve => {
    const ask = url.startsWith('https:') ? requestSecurely : request
    // Every address of a name in its turn, which Node.js 18 does not do by itself: the API need not listen at all of them.
    const options = { agent: false, signal: AbortSignal.timeout(LIMIT), autoSelectFamily: true }
    const answered = ({ statusCode = 0, statusMessage = '', socket }: IncomingMessage): void => {
      resolve(known(`${statusCode} ${statusMessage}`.trim().slice(0, 60)))
      socket.destroy()
    }
    const asking = ask(url, options, answered)
    asking.on('error', error => {
      const late = error.name === 'AbortError' || error.name === 'TimeoutError'
      const reasons: readonly Error[] = error instanceof AggregateError ? error.errors : [error]
      const why = late
        ? `no answer within ${LIMIT / 1000} s`
        : reasons.map(({ message }) => message).join(', ')
      resolve(unknown(why))
    })
    // Whoever has the port may switch to another protocol, and then there is neither an answer nor an error.
    asking.on('upgrade', answered)
    asking.on('close', () => resolve(unknown('it closed the connection')))
    asking.end()
  })
