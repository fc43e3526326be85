import { ExitCode, Failure } from '../../errors.ts'
import { inFolder } from '../../files/folder.ts'
import { octal, setOwnership } from '../../files/secret-file.ts'
import { type FolderPlan, planFolder } from '../findings/folder-plan.ts'
import { type Remedy, subjects } from './terms.ts'

/** Gives a folder its owner and mode; one that another account could have put there is left alone. */
function open({ path, desired }: FolderPlan): void {
  const done = inFolder(path, folder => {
    if (!folder.safe) return false
    folder.withHandle(handle => setOwnership(handle, desired, path))
    return true
  })
  if (done) return
  throw new Failure(ExitCode.configuration, {
    message: `set owner and mode of ${path}`,
    cause: 'another account can put another folder in its place',
    hint: `See who can write the folders above it: namei -l ${path}`,
  })
}

export const folders: Remedy = {
  fix: 'folders',
  does: findings => `let the service account through: ${subjects(findings)}`,
  apply: async ({ report }, findings, facts) => {
    for (const { subject } of findings) {
      const plan: FolderPlan | undefined =
        planFolder(facts, subject, 'vault') ?? planFolder(facts, subject, 'checkout')
      if (!plan) continue
      const { path, desired } = plan
      open(plan)
      report.change({
        resource: `folder ${path}`,
        action: `set owner and mode, ${desired.names} ${octal(desired.mode)}`,
      })
    }
  },
}
