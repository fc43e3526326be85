import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { parseManifest } from '../../lib/provision/manifest.ts'
import { declaredRules, renderMappings, renderRules } from '../../lib/server/access/render.ts'
import { Nix, withoutLib } from '../support/nix.ts'

const empty = '/dev/null'
const text = (lines: readonly string[]): string => lines.map(line => `${line}\n`).join('')

/** Hosts, and whether their manifest begins with the table that ships. */
const HOSTS: Readonly<Record<string, string>> = {
  'the tables that ship': '{}',
  'a remote administrator': '{ remoteAdmin.enable = true; }',
  'one with an IPv6 address': '{ remoteAdmin.enable = true; remoteAdmin.address = "fd00::6a"; }',
  'the application by other names':
    '{ settings.ENDOREG_DB_USER = "app"; settings.ENDOREG_DB_NAME = "data of the app"; }',
  'the application by names that would be something else in a rule':
    '{ settings.ENDOREG_DB_USER = "a,b"; settings.ENDOREG_DB_NAME = "all"; }',
  'more of everything': `{
    manifest.roles = [ { name = "grafana"; connectionLimit = 20; validUntil = "2030-01-31"; } ];
    manifest.databases = [ { name = "grafana"; owner = "grafana"; } ];
    manifest.hba = [
      { type = "hostssl"; database = "grafana"; role = "grafana"; address = "172.16.255.0/24"; method = "scram-sha-256"; }
      { type = "hostnossl"; database = "all"; role = "all"; address = "all"; method = "reject"; }
      { type = "host"; database = "replication"; role = "replUser"; address = ".example.org"; method = "scram-sha-256"; }
    ];
    manifest.ident = [ { map = "superuser_map"; account = "backup"; role = "postgres"; } ];
  }`,
  'names that have to be quoted': `{
    manifest.roles = [ { name = "two words"; } ];
    manifest.hba = [
      { type = "local"; database = "a \\"quoted\\" one"; role = "+two words"; method = "peer"; map = "a map"; }
      { type = "host"; database = "\\"comma,ted\\",\\"a \\"\\"b\\",shop"; role = "eve, +group"; address = "loopback"; method = "scram-sha-256"; }
      { type = "host"; database = "all"; role = "+"; address = "samenet"; method = "md5"; }
      { type = "host"; database = "#no comment"; role = "/^lx_.*$"; address = "::1/128"; method = "scram-sha-256"; }
    ];
    manifest.ident = [ { map = "a map"; account = "/^(.*)@example\\\\.org$"; role = "\\\\1"; } ];
  }`,
  'names of other scripts, whose length is another in each language': `{
    manifest.roles = [ { name = "Müller"; } ];
    manifest.hba = [
      { type = "host"; database = "Übung"; role = "Müller"; address = "loopback"; method = "scram-sha-256"; }
      { type = "host"; database = "größer € als"; role = "日本"; address = "loopback"; method = "scram-sha-256"; }
      { type = "host"; database = "𝄞 und 🐘"; role = "¡¿"; address = "loopback"; method = "scram-sha-256"; }
    ];
    manifest.ident = [ { map = "Zuordnung-ß"; account = "ärztin"; role = "Müller"; } ];
  }`,
  'rules of its own only': `{
    manifest.hba = lib.mkForce [
      { type = "local"; database = "all"; role = "postgres"; method = "peer"; }
      { type = "host"; database = "all"; role = "all"; address = "loopback"; method = "scram-sha-256"; }
    ];
    manifest.ident = lib.mkForce [ ];
  }`,
}

t.test('NixOS gives PostgreSQL the rules that the commands compare with', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  for (const [name, options] of Object.entries(HOSTS)) {
    t.test(name, async t => {
      const host = nix.host(
        `{ lib, ... }: { services.endoreg-provision = { enable = true; } // ${options}; }`,
      )
      const { ENDOREG_MANIFEST, ENDOREG_DB_USER, ENDOREG_DB_NAME } = host.provision.settings
      const settings = loadSettings(
        { ENDOREG_DB_USER: String(ENDOREG_DB_USER), ENDOREG_DB_NAME: String(ENDOREG_DB_NAME) },
        empty,
      )
      const json: unknown = JSON.parse(readFileSync(String(ENDOREG_MANIFEST), 'utf8'))
      const manifest = parseManifest(json, name, settings)
      t.strictSame(host.failed, [])
      t.equal(host.postgresql.authentication, text(renderRules(declaredRules(manifest))))
      t.equal(host.postgresql.identMap, text(renderMappings(manifest.ident)))
    })
  }
})

t.test('the manifest that ships is the one that NixOS has', { skip: withoutLib }, async t => {
  const host = new Nix(t).host('{ services.endoreg-provision.enable = true; }')
  const json: unknown = JSON.parse(readFileSync(String(host.provision.settings['ENDOREG_MANIFEST']), 'utf8'))
  const shipped: unknown = JSON.parse(
    readFileSync(new URL('../../units/manifest.json', import.meta.url), 'utf8'),
  )
  const settings = loadSettings({}, empty)
  t.strictSame(parseManifest(json, 'NixOS', settings), parseManifest(shipped, 'shipped', settings))
})
