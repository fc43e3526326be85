/**
 * Writes the files that are made of something in the code: `npm run generate`. Tests say when it is due.
 */
import { writeFileSync } from 'node:fs'
import { manifestSchemaText } from './manifest-schema.ts'
import { settingsFiles } from './settings-table.ts'

const files = new Map([['units/manifest.schema.json', manifestSchemaText()], ...settingsFiles()])
for (const [path, text] of files) writeFileSync(new URL(`../../${path}`, import.meta.url), text)
