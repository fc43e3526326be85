import type { Password } from '../../frame/password.ts'
import { ownershipCommand } from '../../host/ownership.ts'
import { type Checkout, KEY, PASSWORD_COPY } from '../../provision/checkout-files.ts'
import { correctSettings, passwordIn } from '../../provision/db-yaml.ts'
import { disagreements, localSettings } from '../../provision/local-settings.ts'
import { serviceFiles } from '../../provision/owners.ts'
import { ifKnown, toFact, type Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Examination } from './examination.ts'
import { describeDrift, findClosedFolder, foreignOwner, wholeCommand } from './folders.ts'
import type { Meaning } from './meanings.ts'

/** The API's checkout and what is installed there. */
export function examineApplication(exam: Examination): void {
  const { checkout, accounts, settings } = exam.facts
  if (!accounts.known || !accounts.value.service) return
  if (!checkout.known) unreachable(exam, checkout)
  else if (!checkout.value) noCheckout(exam)
  else if (restored(exam.facts, checkout.value)) closedFiles(exam, checkout.value)
  else if (accounts.value.serviceGroup) {
    passwordFile(exam, checkout.value.copy)
    settingsFile(exam, checkout.value.settings?.text)
    localFile(exam, checkout.value.local)
    if (settings.apiSecretKeyFile === undefined && checkout.value.local.state !== 'foreign')
      keyFile(exam, checkout.value.key)
  }
  if (checkout.known && checkout.value) blocked(exam, checkout.value)
  if (exam.findings.length === 0 && checkout.known)
    exam.good(`conf/db_pwd, conf/db.yaml and local_settings.py are installed in ${settings.apiDir}`)
  strays(exam, ifKnown(checkout))
}

/** Whether something is to be installed and cannot be; where all is as it should be, a disk may be read-only. */
function blocked(exam: Examination, { blocked: blocks }: Checkout): void {
  const { agreement, settings } = exam.facts
  const wanted = agreement.copyIsVault === false || exam.findings.some(({ fix }) => fix === 'install')
  if (blocks && wanted)
    exam.find('checkout-unusable', settings.apiDir, `nothing can be installed in it: ${blocks.why}`, {
      meaning: 'endo-api-boot cannot install what the API reads',
      remedy: blocks.hint,
    })
}

function localFile(exam: Examination, local: Checkout['local']): void {
  const { settings } = exam.facts
  const path = `${settings.apiDir}/local_settings.py`
  if (local.state === 'missing') exam.find('local-settings-missing', path, 'there is no such file')
  else if (local.state === 'ours') {
    // What both differ in is said once.
    if (local.text !== localSettings(settings) && !exam.findings.some(({ id }) => id === 'settings-differ'))
      exam.find('local-settings-differ', path, 'it is another one than the settings make')
  } else if (local.text === undefined) {
    exam.find('local-settings-foreign', path, 'it is no file of text that could be read')
  } else {
    const said = disagreements(settings, local.text)
    if (said.length > 0) exam.find('local-settings-foreign', path, said.join('; '))
  }
}

function keyFile(exam: Examination, key: Checkout['key']): void {
  const { settings, accounts } = exam.facts
  const { service, serviceGroup } = ifKnown(accounts) ?? {}
  const path = `${settings.apiDir}/conf/${KEY}`
  if (key.state === 'missing') exam.find('key-missing', path, 'there is no such file')
  else if (key.state === 'unusable' && key.closed && service && serviceGroup)
    exam.find('key-unusable', path, key.why, {
      remedy: ownershipCommand(path, serviceFiles(service, serviceGroup).secret),
    })
  else if (key.state === 'unusable')
    exam.find('key-unusable', path, `it holds no key: ${key.why}`, {
      remedy: `put the key there, or move the file away for a new one: mv ${path} ${path}.old`,
    })
}

/** Whether one cause keeps the service account from more than one of its files: they are another account's. */
const restored = (facts: Facts, { copy, key }: Checkout): boolean =>
  isClosed(copy) && (isClosed(key) || foreignOwner(facts) !== undefined)

const isClosed = (file: Checkout['key']): boolean => file.state === 'unusable' && file.closed === true

function closedFiles(exam: Examination, { copy, key }: Checkout): void {
  const { settings } = exam.facts
  const why = copy.state === 'unusable' ? copy.why : ''
  const both = isClosed(key) ? `, nor conf/${KEY}` : ''
  exam.find('checkout-unusable', settings.apiDir, `conf/${PASSWORD_COPY} cannot be used: ${why}${both}`, {
    remedy: wholeCommand(settings, settings.apiDir),
  })
}

/** What other tools have left of the password, in plain. */
function strays(exam: Examination, checkout: Checkout | undefined) {
  const { settings, vault, strays: left, nixos } = exam.facts
  const file = ifKnown(vault)?.file
  const current = file && file.state !== 'missing' ? file.password : undefined
  const whose = (password: Password): string => {
    if (!current) return 'a password'
    return password.equals(current)
      ? 'the password of the vault'
      : 'another password than the vault, an earlier one perhaps,'
  }
  const local = checkout?.local
  const own = local?.state === 'foreign' ? (local.text ?? '') : undefined
  /** What is said otherwise of a password that the API may still read, by a person's own file. */
  const needed = (inUse: boolean): Partial<Meaning> =>
    inUse
      ? { remedy: 'first let your local_settings.py read the password from conf/db_pwd', fix: undefined }
      : {}
  const plain = passwordIn(checkout?.settings?.text)
  if (plain)
    exam.find(
      'password-in-settings',
      `${settings.apiDir}/conf/db.yaml`,
      `it has ${whose(plain)} in plain`,
      needed(own !== undefined && !own.includes('DATABASES')),
    )
  if (!left.known) return exam.blind('copies of the password in homes', left)
  const again = nixos
    ? {
        remedy:
          'fix-postgres removes the file, after asking; switch off what makes it again (LuxNix: endoreg-service-user-deploy-secretfile-postgres)',
      }
    : {}
  for (const { path, password } of left.value)
    exam.find('password-left', path, `it holds ${whose(password)} in plain`, {
      ...again,
      ...needed(own?.includes(path) === true),
    })
}

function unreachable(exam: Examination, unknown: Unknown) {
  const { pathToCheckout, settings, root } = exam.facts
  const { apiDir, serviceUser } = settings
  if (unknown.denied && !root) return exam.blind(`the checkout ${apiDir}`, unknown)
  const end = ifKnown(pathToCheckout.theirs)?.end
  const remedy = unknown.hint || `look at: namei -l ${apiDir}/conf`
  if (end?.closed) return findClosedFolder(exam, end.path, 'checkout', remedy)
  const owner = foreignOwner(exam.facts)
  exam.find(
    'checkout-unusable',
    apiDir,
    `its configuration cannot be read: ${unknown.denied ? `${serviceUser} is refused, ` : ''}${unknown.why}${owner ? `; it belongs to ${owner}` : ''}`,
    // All of it is the service account's own: where that account is refused, it is not root that lacks a right.
    {
      remedy: unknown.denied ? `${wholeCommand(settings, apiDir)} && chmod -R u+rwX ${apiDir}/conf` : remedy,
    },
  )
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
      ? { remedy: 'endo-api-boot clones it: systemctl restart endo-api-boot', fix: 'install', blocks: 'api' }
      : {
          remedy: `clone it: sudo -u ${serviceUser} git clone --branch ${apiBranch} REPOSITORY ${apiDir}; or set ENDOREG_API_DIR`,
        },
  )
}

function passwordFile(exam: Examination, copy: Checkout['copy']): void {
  const path = `${exam.facts.settings.apiDir}/conf/db_pwd`
  if (copy.state === 'missing') exam.find('copy-missing', path, 'there is no such file')
  else if (copy.state === 'unusable')
    exam.find('copy-unusable', path, `it gives no password, because ${copy.why}`)
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
