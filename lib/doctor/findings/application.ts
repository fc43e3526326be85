import type { Checkout } from '../../files/application.ts'
import { correctSettings } from '../../files/desired-settings.ts'
import { look } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { FindingId } from '../terms.ts'
import { folderCommand, planFolder } from './folder-plan.ts'
import { able, type Part, Parts } from './part.ts'

/** The API's checkout and what is installed there. */
export function applicationFindings(facts: Facts): Part {
  const part = new Parts()
  const { checkout, accounts, settings } = facts
  if (!accounts.known || !accounts.value.service) return part
  if (!checkout.known) unreachable(facts, part)
  else if (!checkout.value) noCheckout(facts, part)
  else if (accounts.value.serviceGroup) {
    copyFindings(facts, part, checkout.value.copy)
    yamlFindings(facts, part, checkout.value.settings?.text)
  }
  if (part.findings.length === 0 && checkout.known)
    part.good(`conf/db_pwd and conf/db.yaml are installed in ${settings.apiDir}`)
  return part
}

function unreachable(facts: Facts, part: Parts): void {
  const { checkout, wayToCheckout, settings, root } = facts
  if (checkout.known) return
  if (checkout.denied && !root) {
    part.blind(`the checkout ${settings.apiDir}`, checkout)
    return
  }
  const end = wayToCheckout.theirs.known ? wayToCheckout.theirs.value.end : undefined
  const plan = end?.how === 'closed' ? planFolder(facts, end.path, 'checkout') : undefined
  const closed = end?.how === 'closed'
  part.find({
    id: closed ? 'folder-closed' : 'checkout-unusable',
    severity: 'error',
    subject: closed ? end.path : settings.apiDir,
    seen: closed
      ? `${settings.serviceUser} may not enter it, on the way to ${settings.apiDir}`
      : `its configuration cannot be read: ${checkout.why}`,
    meaning: 'endo-api-boot cannot install what the API reads, and the API cannot read it',
    remedy: plan ? folderCommand(plan) : checkout.hint || `look at: namei -l ${settings.apiDir}/conf`,
    ...(plan ? able(facts, 'folders') : {}),
  })
}

function noCheckout(facts: Facts, part: Parts): void {
  const { settings, wayToCheckout, root } = facts
  if (!root && !wayToCheckout.theirs.known) {
    part.blind(`the checkout ${settings.apiDir}`, wayToCheckout.theirs)
    return
  }
  const { apiRepository, apiDir, apiBranch, serviceUser } = settings
  part.find({
    id: 'checkout-missing',
    severity: 'error',
    subject: apiDir,
    seen: 'there is no such folder',
    meaning: 'there is no API to start, and nowhere to install its configuration',
    remedy: apiRepository
      ? 'endo-api-boot clones it: systemctl restart endo-api-boot'
      : `clone it: sudo -u ${serviceUser} git clone --branch ${apiBranch} REPOSITORY ${apiDir}; or set ENDOREG_API_DIR`,
    ...(apiRepository ? able(facts, 'install') : {}),
  })
}

function copyFindings(facts: Facts, part: Parts, copy: Checkout['copy']): void {
  const subject = `${facts.settings.apiDir}/conf/db_pwd`
  const found = (id: FindingId, seen: string, meaning: string): void =>
    part.find({
      id,
      severity: 'error',
      subject,
      seen,
      meaning,
      remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
      ...able(facts, 'install'),
    })
  const none = 'the API has no password to log in with'
  if (copy.state === 'missing') found('copy-missing', 'there is no such file', none)
  else if (copy.state === 'unusable') found('copy-unusable', `it gives no password: ${copy.why}`, none)
  else if (copy.drift)
    found(
      'copy-ownership',
      copy.drift.replace(/^set owner and mode, (.*) -> (.*)$/, 'it is $1, not $2'),
      'the API may not be able to read it, or others may',
    )
}

function yamlFindings(facts: Facts, part: Parts, text: string | undefined): void {
  const { settings } = facts
  const subject = `${settings.apiDir}/conf/db.yaml`
  const corrected = look(() => correctSettings(settings, text))
  if (!corrected.known) {
    part.find({
      id: 'settings-unusable',
      severity: 'error',
      subject,
      seen: corrected.why,
      meaning: 'the API cannot read where its database is',
      remedy: corrected.hint,
    })
  } else if (corrected.value.differing.length > 0) {
    part.find({
      id: text === undefined ? 'settings-missing' : 'settings-differ',
      severity: 'error',
      subject,
      seen:
        text === undefined
          ? 'there is no such file'
          : `another ${corrected.value.differing.join(', ')} than the settings say`,
      meaning: 'the API connects somewhere else, or not at all',
      remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
      ...able(facts, 'install'),
    })
  }
}
