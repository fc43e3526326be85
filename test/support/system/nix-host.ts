import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { Host } from '../nix.ts'
import { CHECKOUT, Nix } from '../nix.ts'
import { POSTGRESQL, type Release } from './base.ts'
import { CHECKOUT as API } from './clinic.ts'
import { fastPostgres, type MachineOptions } from './options.ts'
import { beside } from './program.ts'

/** The units that a NixOS system with the module gives systemd. */
const UNITS = '/etc/systemd/system'

/**
 * A machine that has of NixOS what the commands and units meet there: the package and all that is generated in the Nix
 * store, which belongs to root and a group; units and settings as links into it; PostgreSQL's access rules from there.
 * The programs are Debian's.
 *
 * @param module the host's configuration, a Nix expression
 */
export function nixHost(t: Test, release: Release, module: string): { host: Host; options: MachineOptions } {
  const nix = new Nix(t, true)
  const host = nix.host(module)
  const built = nix.build(module)
  const hba = nix.add('pg_hba.conf', host.postgresql.authentication)
  const ident = nix.add('pg_ident.conf', host.postgresql.identMap)
  const settings = Object.entries(host.postgresql.settings).map(([name, value]) => `${name} = '${value}'\n`)
  const main = `/etc/postgresql/${POSTGRESQL[release]}/main`
  return {
    host,
    options: {
      dropIns: fastPostgres(release),
      files: {
        '/store.tar': { text: nix.archive([built.package, built.settings, hba, ident]) },
        '/etc/sysusers.d/clinic.conf': {
          text: readFileSync(`${CHECKOUT}/units/sysusers.d/endoreg-provision.conf`),
        },
        '/etc/tmpfiles.d/00-nixos.conf': { text: host.tmpfiles.map(line => `${line}\n`).join('') },
        [`${main}/conf.d/nixos.conf`]: {
          text: [...settings, `hba_file = '${hba}'\n`, `ident_file = '${ident}'\n`].join(''),
        },
        [`${API}/api.py`]: { text: readFileSync(beside('api.py')) },
        ...dropIns(host),
      },
      commands: [
        'tar -C / -xf /store.tar && rm /store.tar && chown root:daemon /nix/store && chmod 1775 /nix/store',
        'systemd-sysusers clinic.conf && systemd-tmpfiles --create 00-nixos.conf || [ $? -eq 73 ]',
        `chown -R endoreg-service-user:endoreg-service ${API}`,
        `ln -s ${built.package}/lib/systemd/system/* ${UNITS}`,
        // As /etc is on NixOS: a link to all of it, and a link into that for each file.
        `mkdir -p /nix/store/etc/endoreg /etc/endoreg && ln -s /nix/store/etc /etc/static`,
        `ln -s ${built.settings} /nix/store/etc/endoreg/provision.env`,
        'ln -s /etc/static/endoreg/provision.env /etc/endoreg/provision.env',
        ...wants(host),
        `ln -s ${built.package}/bin/* /usr/bin`,
      ],
    },
  }
}

/** Whom each unit is wanted by, as NixOS links it. */
const wants = ({ services, timers }: Host): string[] =>
  [...Object.entries(services).map(of('service')), ...Object.entries(timers).map(of('timer'))].flat()
const of =
  (kind: string) =>
  ([name, { wantedBy }]: readonly [string, { readonly wantedBy: readonly string[] }]): string[] =>
    name.startsWith('postgresql')
      ? []
      : wantedBy.map(
          target => `mkdir -p ${UNITS}/${target}.wants && ln -s ../${name}.${kind} ${UNITS}/${target}.wants/`,
        )

/** What NixOS adds to a packaged unit, as it writes it. */
function dropIns({ services }: Host): Record<string, { text: string }> {
  const files: Record<string, { text: string }> = {}
  for (const [name, { environment, path, serviceConfig }] of Object.entries(services)) {
    if (name.startsWith('postgresql')) continue
    const folders = [...path, '/usr'].map(entry => `${entry}/bin`)
    const lines = [
      ...Object.entries({ ...environment, PATH: folders.join(':') }).map(
        ([variable, value]) => `Environment="${variable}=${value}"`,
      ),
      ...Object.entries(serviceConfig).flatMap(([key, value]) => [value].flat().map(one => `${key}=${one}`)),
    ]
    files[`${UNITS}/${name}.service.d/overrides.conf`] = { text: `[Service]\n${lines.join('\n')}\n` }
  }
  return files
}

/** Whether a Nix store can be made here. */
export const withoutStore: string | false =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0
    ? false
    : 'only root makes a Nix store where it belongs'
