// Every module that declares a job.
import './access-file.ts'
import './application.ts'
import './vault.ts'
import './vault-plan.ts'
import './stage.ts'
import '../checkout/checkout.ts'
