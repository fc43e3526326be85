import { main } from '../../lib/command.ts'
import { confirmHost, YES_DELETE, YES_OVERWRITE } from '../../lib/confirm.ts'

// A command of the tests' own, which asks and does nothing.

void main({
  name: 'confirm-driver',
  summary: '',
  runsAs: 'root',
  flags: { overwrite: '' },
  values: { ...YES_DELETE, ...YES_OVERWRITE },
  run: async run => {
    await confirmHost(run, 'do it', run.flags.has('overwrite') ? 'yes-overwrite' : 'yes-delete')
    return 'it is meant'
  },
})
