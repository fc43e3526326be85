import type { Readable } from 'node:stream'

/** Characters that are kept. */
const MOST = 16_384

/** What a program writes, as far as it has to be known. */
export class Listener {
  readonly #stream: Readable
  #text = ''

  constructor(stream: Readable) {
    this.#stream = stream
    stream.setEncoding('utf8').on('data', (more: string) => {
      this.#text = (this.#text + more).slice(-MOST)
    })
  }

  /** Waits until `pattern` is in it; gives its first group then, or undefined where the writer ends without it. */
  until(pattern: RegExp): Promise<string | undefined> {
    return new Promise(resolve => {
      const look = (): void => {
        const found = pattern.exec(this.#text)
        if (found) resolve(found[1])
      }
      this.#stream.on('data', look)
      this.#stream.once('close', () => {
        look()
        resolve(undefined)
      })
      look()
    })
  }

  /** The line that says why the writer has ended, or else its last one. */
  lastWords(): string {
    const lines = this.#text.trim().split('\n')
    const [last = ''] = [
      ...lines.filter(line => /\b(?:error|FATAL|PANIC):/.test(line)).slice(-1),
      ...lines.slice(-1),
    ]
    return last
  }
}
