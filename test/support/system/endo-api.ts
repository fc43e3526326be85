import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import type { Machine } from './machine.ts'
import type { MachineOptions } from './options.ts'
import { beside } from './program.ts'

/** Where the repository of the stand-in lies on a machine. */
export const REPOSITORY = '/srv/git/endo-api'

/** What is on the disk of a host on which the API can be cloned, and `devenv` is in the folder `profile` of Nix. */
export function withRepository(profile: string): MachineOptions {
  const git = 'git -c user.name=test -c user.email=test@example.org'
  return {
    files: {
      '/srv/endo-api.tar': {
        text: execFileSync('tar', ['-C', beside('endo-api'), '--exclude=__pycache__', '-c', '.']),
      },
      [`${profile}/bin/devenv`]: { text: readFileSync(beside('devenv')), mode: '755' },
    },
    commands: [
      `mkdir -p ${REPOSITORY} && cd ${REPOSITORY} && tar -xf /srv/endo-api.tar --no-same-owner && rm /srv/endo-api.tar`,
      // git takes no repository of another account.
      `cd ${REPOSITORY} && chown -R endoreg-service-user . && runuser -u endoreg-service-user -- sh -c
        'git init -q -b main && git add . && ${git} commit -qm 1'`.replace(/\n\s*/, ' '),
    ],
  }
}

const answer = v.object({
  process: v.number(),
  settings: v.string(),
  debug: v.boolean(),
  /** A digest of SECRET_KEY. */
  key: v.string(),
  vendor: v.string(),
  role: v.nullable(v.string()),
  address: v.nullable(v.string()),
  port: v.nullable(v.number()),
  visits: v.number(),
  environment: v.record(v.string(), v.nullable(v.string())),
})

/** What the stand-in says of itself over HTTP. */
export type Answer = v.InferOutput<typeof answer>

/** Waits for an answer of the stand-in, of another process than the one that gave `before`. */
export async function nextAnswer(machine: Machine, before?: Answer, port = 8118): Promise<Answer> {
  let found: Answer | undefined
  await machine.waitFor('the API answers', async () => {
    const asked = await machine.run(`curl --silent --fail --max-time 5 http://localhost:${port}/`, {
      check: false,
    })
    found = asked.code === 0 ? v.parse(answer, JSON.parse(asked.out)) : undefined
    return found !== undefined && found.process !== before?.process
  })
  return v.parse(answer, found)
}
