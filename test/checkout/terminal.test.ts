import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BIN } from '../support/checkout.ts'
import { asService } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'
import { outputOf } from '../support/output.ts'

const needed = {
  skip:
    needsRoot.skip ||
    (['script', 'perl'].some(program => spawnSync(program, ['--version']).status !== 0) &&
      'no script(1) and perl on this machine: a terminal, and what is done to it'),
}

/** What git runs in the checkout of somebody who has it fetched and fast-forwarded. */
const HOOKS = ['post-merge', 'reference-transaction', 'fsmonitor'] as const

/** A hook that says what it has of whoever runs git, and types a command into each terminal that it gets (TIOCSTI). */
const HOOK = `#!/usr/bin/perl
open my $log, '>>', "$0.log" or die;
open my $stat, '<', '/proc/self/stat' or die;
my @stat = split ' ', (split /\\) /, <$stat>, 2)[1];
print $log "terminal $stat[4]\\n", map { "variable $_=$ENV{$_}\\n" } keys %ENV;
print $log map { "descriptor $_\\n" } grep { $_ } map { readlink } glob '/proc/self/fd/*';
open my $terminal, '<', '/dev/tty';
for my $handle (grep { $_ } $terminal, *STDIN, *STDOUT, *STDERR) {
  ioctl $handle, 0x5412, $_ for split //, "touch /typed\\n";
}
print $log "done\\n";
`
/** Says how many bytes wait at the terminal for whoever reads next (FIONREAD). */
const WAITING = `perl -e 'my $n = pack "i"; ioctl STDIN, 0x541B, $n or die; printf "waiting %d\\n", unpack "i", $n'`

/** What nobody but root has to do with. */
const OF_ROOT = {
  OF_ROOT: 'secret',
  PGPASSWORD: 'secret',
  SSH_AUTH_SOCK: '/root/agent',
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'http.extraHeader',
  GIT_CONFIG_VALUE_0: 'secret',
  BASH_ENV: '/root/bash',
  https_proxy: 'http://root:secret@proxy.example.org',
}

for (const command of ['endo-api-boot', 'fix-postgres --yes']) {
  t.test(`${command} by root at a terminal: nothing of root's gets to the hooks`, needed, async t => {
    const host = await Host.create(t)
    const home = join(host.folder, 'home')
    const git = (script: string): unknown =>
      execFileSync(
        ...asService(
          `git() { command git -c user.name=test -c user.email=test@example.org "$@"; }; cd ${home} && ${script}`,
        ),
        { env: { ...host.env, HOME: home } },
      )
    git(`git init -q -b main origin && git -C origin commit -qm 1 --allow-empty &&
      rmdir endo-api && git clone -q origin endo-api && git -C origin commit -qm 2 --allow-empty`)
    const hooks = join(host.apiDir, '.git/hooks')
    git(`git -C endo-api config core.fsmonitor ${hooks}/fsmonitor`)
    for (const hook of HOOKS) writeFileSync(join(hooks, hook), HOOK, { mode: 0o755 })
    t.equal((await host.setup()).code, 0)
    rmSync(host.copy, { force: true })

    const typed = `exec 7</etc/shadow 63</etc/gshadow; ${join(BIN, command)}; ${WAITING}`
    const child = spawn('script', ['--quiet', '--command', typed, '/dev/null'], {
      env: { ...host.env, ...OF_ROOT, SHELL: '/bin/bash', TERM: 'dumb', ENDOREG_API_UPDATE: 'boot' },
    })
    const { out } = await outputOf(child)
    t.match(out, /fast-forward main/)
    t.match(out, /^waiting 0\r?$/m, 'nothing was typed')
    for (const hook of HOOKS) {
      const said = readFileSync(join(hooks, `${hook}.log`), 'utf8')
      const all = (what: string): string[] =>
        [...said.matchAll(new RegExp(`^${what} (.*)$`, 'gm'))].map(([, text = '']) => text)
      t.match(said, /^done$/m, `${hook} ran to its end`)
      t.same(new Set(all('terminal')), new Set(['0']), `${hook} has no terminal`)
      const theirs = (path: string): boolean =>
        /^(?:pipe|socket):|^\/dev\/null$|^\/proc\//.test(path) || path.startsWith(host.folder)
      t.same(new Set(all('descriptor').filter(path => !theirs(path))), new Set(), `${hook}: its descriptors`)
      const made =
        /^(?:PATH|HOME|PWD|SHLVL|_|LC_ALL|SSH_ASKPASS|GITHEAD_\w+|GIT_(?:ASKPASS|EXEC_PATH|PREFIX|REFLOG_ACTION|SSH_COMMAND|TERMINAL_PROMPT))=/
      t.same(new Set(all('variable').filter(text => !made.test(text))), new Set(), `${hook}: its variables`)
    }
  })
}
