import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { until } from './cluster.ts'
import { runner } from './host.ts'
import type { ResetHere } from './reset-here.ts'

// Other places for the cluster of a `ResetHere`, its WAL and its server.

type Teardown = { teardown: (work: () => unknown) => void }

/** Has the server of the unit work in a copy of its data folder, as one whose configuration was changed. */
export function moveServer(own: ResetHere): void {
  const other = `${own.data}-other`
  own.systemctl('stop', own.server)
  execFileSync('cp', ['-a', '--', own.data, other])
  const places = [`/etc/postgresql/${own.major}/main/postgresql.conf`.slice('/etc/'.length), other] as const
  writeFileSync(join(own.etc, places[0]), `data_directory = '${other}'\n`, { flag: 'a' })
  writeFileSync(join(own.systemd, 'settings'), `DATA='${other}'\n`, { flag: 'a' })
  own.systemctl('start', own.server)
}

/** Has the cluster on a file system of its own, with so many megabytes free. */
export function onDisk(own: ResetHere, t: Teardown, free: number): void {
  const folder = dirname(own.data)
  own.systemctl('stop', own.server)
  const kept = mkdtempSync(join(tmpdir(), 'endoreg-kept-'))
  execFileSync('cp', ['-a', '--', `${folder}/.`, kept])
  const used = Number(/^\d+/.exec(execFileSync('du', ['-sm', kept], { encoding: 'utf8' }))?.[0])
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${used + free}m`, 'none', folder])
  t.teardown(() => {
    own.systemctl('stop', own.server)
    execFileSync('umount', ['--lazy', folder])
  })
  execFileSync('cp', ['-a', '--', `${kept}/.`, folder])
  rmSync(kept, { recursive: true })
  own.systemctl('start', own.server)
}

/** Has the WAL in a folder `pg_wal` of a disk of its own, of so many megabytes, on which root decides what is. */
export function walOnDisk(own: ResetHere, t: Teardown, size: number): string {
  const disk = mkdtempSync(join(tmpdir(), 'endoreg-wal-'))
  t.teardown(() => rmSync(disk, { recursive: true }))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m,mode=755`, 'none', disk])
  t.teardown(() => {
    own.systemctl('stop', own.server)
    execFileSync('umount', ['--lazy', disk])
  })
  own.systemctl('stop', own.server)
  const wal = join(own.data, 'pg_wal')
  execFileSync('mv', ['--', wal, disk])
  symlinkSync(join(disk, 'pg_wal'), wal)
  own.systemctl('start', own.server)
  return disk
}

/** Does `work` while the server is a child of a process called patroni, and not the unit's. */
export async function underPatroni<T>(own: ResetHere, work: () => Promise<T>): Promise<T> {
  const patroni = join(own.systemd, 'patroni')
  // One that only waits: nothing of Patroni but its name.
  writeFileSync(patroni, '#!/bin/sh\n"$@" &\nwait\n', { mode: 0o755 })
  own.systemctl('stop', own.server)
  const { uid, gid } = runner()
  const ids = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--pdeathsig', 'QUIT', '--']
  const configuration = `config_file=/etc/postgresql/${own.major}/main/postgresql.conf`
  const server = [join(own.bin, 'postgres'), '-D', own.data, '-c', configuration]
  const [program = '', ...rest] = [...own.inPlace, patroni, ...ids, ...server]
  const parent = spawn(program, rest, { stdio: 'ignore' })
  const status = (): string[] =>
    own.isUp ? readFileSync(join(own.data, 'postmaster.pid'), 'utf8').split('\n') : []
  try {
    await until(async () => status()[7]?.trim() === 'ready', 'the server accepts')
    return await work()
  } finally {
    process.kill(Number(status()[0]), 'SIGINT')
    await once(parent, 'exit')
    own.systemctl('start', own.server)
  }
}
