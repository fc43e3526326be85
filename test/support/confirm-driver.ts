import { confirmHost, YES_DELETE, YES_OVERWRITE } from '../../lib/frame/confirm.ts'
import { script } from '../../lib/host/script.ts'

// A command of the tests' own, which asks and does nothing.

void script(
  {
    name: 'confirm-driver',
    summary: '',
    runsAs: 'root',
    flags: { overwrite: '' },
    values: { ...YES_DELETE, ...YES_OVERWRITE },
  },
  async run => {
    await confirmHost(run, 'do it', run.flags.has('overwrite') ? 'yes-overwrite' : 'yes-delete')
    return 'it is meant'
  },
)
