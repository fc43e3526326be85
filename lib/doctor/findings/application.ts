import type { Checkout } from '../../provision/copies.ts'
import { correctSettings } from '../../provision/db-yaml.ts'
import { ifKnown, toFact, type Unknown } from '../facts/fact.ts'
import type { Examination } from './examination.ts'
import { describeDrift, findClosedFolder } from './folders.ts'

/** The API's checkout and what is installed there. */
export function examineApplication(exam: Examination): void {
  const { checkout, accounts, settings } = exam.facts
  if (!accounts.known || !accounts.value.service) return
  if (!checkout.known) unreachable(exam, checkout)
  else if (!checkout.value) noCheckout(exam)
  else if (accounts.value.serviceGroup) {
    passwordFile(exam, checkout.value.copy)
    settingsFile(exam, checkout.value.settings?.text)
  }
  if (exam.findings.length === 0 && checkout.known)
    exam.good(`conf/db_pwd and conf/db.yaml are installed in ${settings.apiDir}`)
}

function unreachable(exam: Examination, unknown: Unknown) {
  const { pathToCheckout, settings, root } = exam.facts
  const { apiDir } = settings
  if (unknown.denied && !root) return exam.blind(`the checkout ${apiDir}`, unknown)
  const end = ifKnown(pathToCheckout.theirs)?.end
  const remedy = unknown.hint || `look at: namei -l ${apiDir}/conf`
  if (end?.closed) return findClosedFolder(exam, end.path, 'checkout', remedy)
  exam.find('checkout-unusable', apiDir, `its configuration cannot be read: ${unknown.why}`, { remedy })
}

function noCheckout(exam: Examination) {
  const { settings, pathToCheckout, root } = exam.facts
  const { apiRepository, apiDir, apiBranch, serviceUser } = settings
  if (!root && !pathToCheckout.theirs.known)
    return exam.blind(`the checkout ${apiDir}`, pathToCheckout.theirs)
  exam.find(
    'checkout-missing',
    apiDir,
    'there is no such folder',
    apiRepository
      ? { remedy: 'endo-api-boot clones it: systemctl restart endo-api-boot', fix: 'install' }
      : {
          remedy: `clone it: sudo -u ${serviceUser} git clone --branch ${apiBranch} REPOSITORY ${apiDir}; or set ENDOREG_API_DIR`,
        },
  )
}

function passwordFile(exam: Examination, copy: Checkout['copy']): void {
  const path = `${exam.facts.settings.apiDir}/conf/db_pwd`
  if (copy.state === 'missing') exam.find('copy-missing', path, 'there is no such file')
  else if (copy.state === 'unusable') exam.find('copy-unusable', path, `it gives no password: ${copy.why}`)
  else if (copy.drift) exam.find('copy-ownership', path, describeDrift(copy.drift))
}

function settingsFile(exam: Examination, text: string | undefined) {
  const { settings } = exam.facts
  const path = `${settings.apiDir}/conf/db.yaml`
  const corrected = toFact(() => correctSettings(settings, text))
  if (!corrected.known) return exam.find('settings-unusable', path, corrected.why, { remedy: corrected.hint })
  const { differing } = corrected.value
  if (differing.length === 0) return
  if (text === undefined) exam.find('settings-missing', path, 'there is no such file')
  else exam.find('settings-differ', path, `another ${differing.join(', ')} than the settings say`)
}
