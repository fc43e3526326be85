import { type IncomingMessage, request } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { whenLate } from '../../frame/deadline.ts'
import { type Fact, known, LIMIT, unknown } from './fact.ts'

/** How the application answers at `url`: its status by number and name ("200 OK"). What it answers beside is not read. */
export const askHealth = (url: string): Promise<Fact<string>> =>
  new Promise(resolve => {
    const ask = url.startsWith('https:') ? requestSecurely : request
    // Every address of a name in its turn, which Node.js 18 does not do by itself: the API need not listen at all of them.
    const options = { agent: false, autoSelectFamily: true }
    const answered = ({ statusCode = 0, statusMessage = '', socket }: IncomingMessage): void => {
      resolve(known(`${statusCode} ${statusMessage}`.trim().slice(0, 60)))
      socket.destroy()
    }
    const asking = ask(url, options, answered)
    const callOff = whenLate(LIMIT, () => {
      resolve(unknown(`no answer within ${LIMIT / 1000} s`))
      asking.destroy()
    })
    asking.on('error', error => {
      const reasons: readonly Error[] = error instanceof AggregateError ? error.errors : [error]
      resolve(unknown(reasons.map(({ message }) => message).join(', ')))
    })
    // Whoever has the port may switch to another protocol, and then there is neither an answer nor an error.
    asking.on('upgrade', answered)
    asking.on('close', () => {
      callOff()
      resolve(unknown('it closed the connection'))
    })
    asking.end()
  })
