import type { Readable } from 'node:stream'

/** A process of which both outputs are read. */
type Child = {
  readonly stdout: Readable
  readonly stderr: Readable
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'close', listener: (code: number | null, signal: NodeJS.Signals | null) => void): unknown
}

/** How `child` ended, and all that it and its children wrote; `onError` hears standard error as it comes. */
export async function outputOf(child: Child, onError?: (text: string) => void) {
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    onError?.(text)
  })
  const ended = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
    (resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal }))
    },
  )
  return { ...ended, out, err }
}
