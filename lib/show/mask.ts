import { GONE, isSecretName, scrubber, untilSecret } from '../scrub.ts'
import type { Configuration, Mistake, Rule, Setting } from './terms.ts'

/**
 * A configuration without secrets: what looks like one wherever it stands, all of what has the name of one, and
 * `secrets` themselves in every usual writing.
 */
export function masked(found: Configuration, secrets: readonly string[]): Configuration {
  const scrub = scrubber(secrets)
  const value = (name: string, text: string): string =>
    isSecretName(name) && text !== '' ? GONE : scrub(text)
  const setting = ({ name, value: text, afterRestart, origin }: Setting): Setting => ({
    name: scrub(name),
    value: value(name, text),
    origin,
    afterRestart: afterRestart === undefined ? undefined : value(name, afterRestart),
  })
  const rule = (one: Rule): Rule => ({
    ...one,
    databases: one.databases.map(scrub),
    roles: one.roles.map(scrub),
    address: one.address === null ? null : scrub(one.address),
    options: one.options.map(([name, text]) => [name, value(name, text)]),
  })
  const mistake = (one: Mistake): Mistake => ({ ...one, message: scrub(withoutQuotation(one.message)) })
  return {
    ...found,
    settings: found.settings.map(setting),
    mistakes: found.mistakes.map(mistake),
    rules: found.rules?.map(rule),
    maps: found.maps?.map(one => ({
      ...one,
      map: scrub(one.map),
      account: scrub(one.account),
      role: scrub(one.role),
    })),
  }
}

/**
 * What PostgreSQL quotes of a line may be a secret that has come apart: `ldapbindpasswd= "x y"` is an option without a
 * value and a word that is none.
 */
const withoutQuotation = (message: string): string =>
  untilSecret(message)
    .replace(/^(authentication option not in name=value format): .*/s, '$1')
    .replace(/^(could not parse RADIUS secret list) .*/s, '$1')
