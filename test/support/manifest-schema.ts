import { toJsonSchema } from '@valibot/to-json-schema'
import { manifestSchema } from '../../lib/provision/manifest.ts'

/**
 * units/manifest.schema.json, from which editors complete a manifest, made of the schema that the commands check it
 * with. What cannot be said in JSON schema is left to the commands.
 */
export function manifestSchemaText(): string {
  const schema = toJsonSchema(manifestSchema, { errorMode: 'ignore', typeMode: 'input' })
  return `${JSON.stringify({ title: 'Manifest of endoreg-provision', ...schema }, undefined, 2)}\n`
}
