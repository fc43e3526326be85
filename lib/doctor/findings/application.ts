import type { FindingId } from '../../frame/finding.ts'
import type { Checkout } from '../../provision/copies.ts'
import { correctSettings } from '../../provision/db-yaml.ts'
import { ifKnown, look, type Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { closedFolder, describeDrift } from './folders.ts'
import { type Part, Parts } from './part.ts'

/** The API's checkout and what is installed there. */
export function applicationFindings(facts: Facts): Part {
  const part = new Parts()
  const { checkout, accounts, settings } = facts
  if (!accounts.known || !accounts.value.service) return part
  if (!checkout.known) unreachable(facts, part, checkout)
  else if (!checkout.value) noCheckout(facts, part)
  else if (accounts.value.serviceGroup) {
    passwordFile(facts, part, checkout.value.copy)
    settingsFile(facts, part, checkout.value.settings?.text)
  }
  if (part.findings.length === 0 && checkout.known)
    part.good(`conf/db_pwd and conf/db.yaml are installed in ${settings.apiDir}`)
  return part
}

function unreachable(facts: Facts, part: Parts, { denied, why, hint }: Unknown): void {
  const { wayToCheckout, settings, root } = facts
  const { apiDir } = settings
  if (denied && !root) {
    part.unseen.push(`the checkout ${apiDir}: ${why}`)
    return
  }
  const end = ifKnown(wayToCheckout.theirs)?.end
  const meaning = 'endo-api-boot cannot install what the API reads, and the API cannot read it'
  const otherwise = hint || `look at: namei -l ${apiDir}/conf`
  if (end?.how === 'closed') part.find(closedFolder(facts, end.path, 'checkout', { meaning, otherwise }))
  else
    part.find({
      id: 'checkout-unusable',
      severity: 'error',
      subject: apiDir,
      seen: `its configuration cannot be read: ${why}`,
      meaning,
      remedy: otherwise,
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
    fix: apiRepository === undefined ? undefined : 'install',
  })
}

/** A file of the checkout that endo-api-boot installs anew. */
function installable(
  part: Parts,
  id: FindingId,
  text: { readonly subject: string; readonly seen: string; readonly meaning: string },
): void {
  part.find({
    id,
    severity: 'error',
    ...text,
    remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
    fix: 'install',
  })
}

function passwordFile({ settings }: Facts, part: Parts, copy: Checkout['copy']): void {
  const subject = `${settings.apiDir}/conf/db_pwd`
  const meaning = 'the API has no password to log in with'
  if (copy.state === 'missing')
    installable(part, 'copy-missing', { subject, seen: 'there is no such file', meaning })
  else if (copy.state === 'unusable')
    installable(part, 'copy-unusable', { subject, seen: `it gives no password: ${copy.why}`, meaning })
  else if (copy.drift)
    installable(part, 'copy-ownership', {
      subject,
      seen: describeDrift(copy.drift),
      meaning: 'the API may not be able to read it, or others may',
    })
}

function settingsFile({ settings }: Facts, part: Parts, text: string | undefined): void {
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
    return
  }
  const { differing } = corrected.value
  if (differing.length === 0) return
  const meaning = 'the API connects somewhere else, or not at all'
  if (text === undefined)
    installable(part, 'settings-missing', { subject, seen: 'there is no such file', meaning })
  else {
    const seen = `another ${differing.join(', ')} than the settings say`
    installable(part, 'settings-differ', { subject, seen, meaning })
  }
}
