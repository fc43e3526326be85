/** Several test files in one process: starting one with its loader costs more than most of them do. */
import { pathToFileURL } from 'node:url'
import t from 'tap'

// Not as arguments: tap makes names of files of those.
for (const path of process.env['TEST_TOGETHER']?.split('\n') ?? []) {
  try {
    await import(pathToFileURL(path).href)
  } catch (error) {
    t.fail(`${path} cannot be loaded: ${error instanceof Error ? error.stack : String(error)}`)
  }
}
