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

/** How the access rules differ from the declared ones. */
export type AccessDrift = {
  readonly hba: Rewrite
  readonly ident: Rewrite
  /** The declared rules as lines, and where in the file they belong: above this line, from 1, or at the end. */
  readonly rules: { readonly lines: readonly string[]; readonly above: number | undefined }
  readonly mappings: readonly string[]
  /** The logins that the files as they are decide otherwise than declared. */
  readonly conflicts: readonly Conflict[]
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missingMappings: readonly string[]
  /** The old rules that let every local account in as the superuser. */
  readonly trust: readonly HbaRule[]
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
  const current = await served.parse(files => parseHba(hba.path, files, major))
  const text = toText(hba.bytes)
  const { rest, block, at } = splitBlock(text)
  const parse = (beginning: string): readonly HbaRule[] =>
    parseHba(hba.path, overlay(served.files, hba.path, beginning), major).lines

  const rules = declaredRules(manifest)
  const lines = renderRules(rules)
  const declared = parse(asBytes(lines.join('\n')))
  const attempts = attemptsOf(rules, manifest)
  const around = await surroundingsOf([...current.lines, ...declared], attempts, major, client, limit)
  const isFree = (end: number): boolean =>
    conflicts(parse(rest.slice(0, end)), declared, attempts, around).every(({ decides }) => !decides)
  const place = block !== undefined && isFree(at) ? at : placeFor(rest, isFree)
  const wanted = lines.length === 0 ? rest : insertBlock(rest, asBytes(blockOf(lines)), place)

  const mappings = renderMappings(manifest.ident)
  const has = await served.parse(files => parseIdent(ident.path, files, major))
  const identText = toText(ident.bytes)
  const others = splitBlock(identText)
  return {
    hba: { path: hba.path, before: hba.bytes, after: toBytes(wanted) },
    ident: {
      path: ident.path,
      before: ident.bytes,
      after: toBytes(
        mappings.length === 0 ? others.rest : insertBlock(others.rest, asBytes(blockOf(mappings)), others.at),
      ),
    },
    rules: { lines, above: place === rest.length ? undefined : rest.slice(0, place).split('\n').length },
    mappings,
    conflicts: conflicts(current.lines, declared, attempts, around),
    missingMappings: manifest.ident
      .filter(
        ({ map, account, role }) =>
          !has.lines.some(
            line => line.map === map && line.account.text === account && line.role.text === role,
          ),
      )
      .flatMap(mapping => renderMappings([mapping])),
    trust: current.lines.filter(isOldTrust),
  }
}
