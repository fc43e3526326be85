import type pg from 'pg'
import type { Manifest } from '../../terms.ts'
import { blockOf, insertBlock, splitBlock } from './block.ts'
import { parseIdent } from './ident.ts'
import { type AccessFiles, ServedFiles } from './inspect.ts'
import { parseHba } from './parse.ts'
import { attemptsOf, type Conflict, conflicts, isOldTrust, placeFor } from './placement.ts'
import { declaredRules, renderMappings, renderRules } from './render.ts'
import { surroundingsOf } from './surroundings.ts'
import type { Files, HbaRule } from './terms.ts'

/** A file as it is and as it should be; the same where nothing is to be done. */
export type Rewrite = { readonly path: string; readonly before: Buffer; readonly after: Buffer }

/** How PostgreSQL's files of access rules differ from the declared ones. What costs time is worked out when asked for. */
export type AccessDrift = {
  /** The declared rules and mappings, as lines. */
  readonly rules: readonly string[]
  readonly mappings: readonly string[]
  /** The old rules that let every local account in as the superuser. */
  readonly trust: readonly HbaRule[]
  /** Both files, with our block where it belongs: above this line of pg_hba.conf, from 1, or at the end. */
  readonly hba: () => Rewrite & { readonly above: number | undefined }
  readonly ident: () => Rewrite
  /** The logins that the files as they are decide otherwise than declared. */
  readonly conflicts: () => readonly Conflict[]
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missingMappings: () => Promise<readonly string[]>
}

/** The bytes of a file as a text in which every byte is one character, so that all of them come back. */
const toText = (bytes: Buffer): string => bytes.toString('latin1')
const toBytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const asBytes = (text: string): string => toText(Buffer.from(text, 'utf8'))

/** `files`, with another text in the place of `path`. */
const overlay = (files: Files, path: string, text: string): Files => ({
  ...files,
  read: wanted => (wanted === path ? toBytes(text).toString('utf8') : files.read(wanted)),
})

/**
 * Compares the access rules in PostgreSQL's files with those of `manifest`. Changes nothing.
 *
 * @param client a superuser's session
 * @param limit milliseconds a statement gets
 */
export async function diffAccess(
  manifest: Manifest,
  access: AccessFiles,
  client: pg.Client,
  limit: number,
): Promise<AccessDrift> {
  const { major, hba, ident } = access
  const served = new ServedFiles(client, limit, [hba, ident])
  const { lines: current } = await served.parse(files => parseHba(hba.path, files, major))
  const parse = (beginning: string): readonly HbaRule[] =>
    parseHba(hba.path, overlay(served.files, hba.path, beginning), major).lines
  const declaration = declaredRules(manifest)
  const rules = renderRules(declaration)
  const declared = parse(asBytes(rules.join('\n')))
  const attempts = attemptsOf(declaration, manifest)
  const around = await surroundingsOf([...current, ...declared], attempts, major, client, limit)
  const mappings = renderMappings(manifest.ident)

  const placed = (): Rewrite & { above: number | undefined } => {
    const { rest, block, at } = splitBlock(toText(hba.bytes))
    const isFree = (end: number): boolean =>
      conflicts(parse(rest.slice(0, end)), declared, attempts, around).every(({ decides }) => !decides)
    const place = block !== undefined && isFree(at) ? at : placeFor(rest, isFree)
    return {
      path: hba.path,
      before: hba.bytes,
      after: toBytes(rules.length === 0 ? rest : insertBlock(rest, asBytes(blockOf(rules)), place)),
      above: place === rest.length ? undefined : rest.slice(0, place).split('\n').length,
    }
  }
  const appended = (): Rewrite => {
    const { rest, at } = splitBlock(toText(ident.bytes))
    const after = mappings.length === 0 ? rest : insertBlock(rest, asBytes(blockOf(mappings)), at)
    return { path: ident.path, before: ident.bytes, after: toBytes(after) }
  }
  const missingMappings = async (): Promise<readonly string[]> => {
    const { lines } = await served.parse(files => parseIdent(ident.path, files, major))
    const has = new Set(lines.map(({ map, account, role }) => JSON.stringify([map, account.text, role.text])))
    return manifest.ident
      .filter(({ map, account, role }) => !has.has(JSON.stringify([map, account, role])))
      .flatMap(mapping => renderMappings([mapping]))
  }
  return {
    rules,
    mappings,
    trust: current.filter(isOldTrust),
    hba: placed,
    ident: appended,
    conflicts: () => conflicts(current, declared, attempts, around),
    missingMappings,
  }
}
