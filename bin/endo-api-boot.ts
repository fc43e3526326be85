import { script } from '../lib/host/script.ts'
import { boot } from '../lib/provision/boot.ts'

void script(
  {
    name: 'endo-api-boot',
    summary: 'Waits until the application role really logs in, then installs conf/db_pwd and conf/db.yaml.',
    runsAs: 'the service account (ENDOREG_SERVICE_USER), or root',
  },
  boot,
)
