import { main } from '../lib/command.ts'
import { boot } from '../lib/commands/endo-api-boot.ts'

void main({
  name: 'endo-api-boot',
  summary: 'Waits until the application role really logs in, then installs conf/db_pwd and conf/db.yaml.',
  runsAs: 'the service account (ENDOREG_SERVICE_USER), or root',
  run: boot,
})
