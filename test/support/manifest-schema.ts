/**
 * Writes units/manifest.schema.json, from which editors complete a manifest, out of the schema that the commands
 * check it with: `npm run schema`. A test says when it is due.
 */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { toJsonSchema } from '@valibot/to-json-schema'
import { manifestSchema } from '../../lib/provision/manifest.ts'

/** The JSON schema as a file has it. What cannot be said in JSON schema is left to the commands. */
export function manifestSchemaText(): string {
  const schema = toJsonSchema(manifestSchema, { errorMode: 'ignore', typeMode: 'input' })
  return `${JSON.stringify({ title: 'Manifest of endoreg-provision', ...schema }, undefined, 2)}\n`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(new URL('../../units/manifest.schema.json', import.meta.url), manifestSchemaText())
}
