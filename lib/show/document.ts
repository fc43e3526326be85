import type { Configuration } from './terms.ts'

/** A configuration as the document of --json has it. What could not be looked at is null, and `unseen` says why. */
export const toDocument = ({
  source,
  version,
  places,
  settings,
  mistakes,
  rules,
  maps,
  newer,
  unseen,
}: Configuration): Readonly<Record<string, unknown>> => ({
  source,
  version,
  places,
  settings: settings.map(({ afterRestart, ...setting }) => ({
    ...setting,
    pendingRestart: afterRestart !== undefined,
    ...(afterRestart === undefined ? {} : { afterRestart }),
  })),
  errors: mistakes,
  rules: rules?.map(rule => ({ ...rule, options: Object.fromEntries(rule.options) })) ?? null,
  maps: maps ?? null,
  newer,
  unseen,
})
