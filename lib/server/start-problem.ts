// What PostgreSQL's words for why it does not start mean. They may be in another language (lc_messages): what is looked for
// stays the same in most of them, or is English and German. What is not known here is only quoted.

/** What to do about a server that does not start. */
export type StartProblem = {
  /** What a person does first, as a sentence that goes on. */
  readonly remedy: string
  /** Whether a start may succeed as things are. */
  readonly mayStart: boolean
}

type Known = {
  readonly pattern: RegExp
  /** What is in the groups of the pattern: an empty text where there is none. */
  readonly remedy: (first: string, second: string) => string
  readonly mayStart?: true
}

const known = (pattern: RegExp, remedy: Known['remedy']): Known => ({ pattern, remedy })
/** What may be over by now. */
const passing = (pattern: RegExp, remedy: Known['remedy']): Known => ({ pattern, remedy, mayStart: true })

const RESTORE =
  'keep a copy of the data folder as it is, then make a new cluster and restore the last backup (restore-postgres --list)'
const LOCALES =
  'Debian: name it in /etc/locale.gen and run locale-gen; NixOS: put it into the option i18n.supportedLocales'

/** How names are quoted: "x", and in German »x«. */
const NAME = '["»]([^"»«]+)["«]'
const named = (before: string, after = ''): RegExp => new RegExp(`${before}${NAME}${after}`)

/** The first that fits counts. Behind each stands the source that says so. */
const START_PROBLEMS: readonly Known[] = [
  // The system's words, whatever PostgreSQL was doing (strerror(3)).
  known(
    /Read-only file system|Dateisystem ist nur lesbar/i,
    () =>
      'a file system there is mounted read-only, as the kernel does after errors of a disk: look at dmesg and findmnt, and make it writable again',
  ),
  known(
    /No space left on device|Disk quota exceeded|kein Speicherplatz mehr|Der zugewiesene Plattenplatz/,
    () => 'free some space on the disk that it names (df -h; df -i)',
  ),
  passing(
    /Address already in use|Adresse wird bereits verwendet/,
    () => 'see who has the address (ss -ltnp), and stop that, or give one of the two another port',
  ),
  // sysv_shmem.c
  known(
    /Cannot allocate memory|could not create shared memory segment|Nicht genügend Hauptspeicher/,
    () => 'lower shared_buffers, or reserve the huge pages that it wants (huge_pages, vm.nr_hugepages)',
  ),
  // systemd's words.
  passing(/oom-kill|OOM killer/, () => 'see what took the memory: journalctl -k --grep=oom'),
  // miscinit.c: the lock file, the data folder and its version.
  known(
    /(?:postmaster\.pid|\.s\.PGSQL\.\d+\.lock)["«][\s\S]*\(PID (\d+)\)/,
    pid =>
      `see what that process is (ps -fp ${pid}): if it is a PostgreSQL, stop it by what started it; if it is something else that got its number, end it or restart the host`,
  ),
  known(
    named(
      '(?:could not create lock file|konnte Sperrdatei) ',
      '(?: nicht erstellen)?: (?:No such file|Datei oder V)',
    ),
    path => `make the folder of ${path} (systemd-tmpfiles --create), or correct unix_socket_directories`,
  ),
  known(named('(?:data directory|Datenverzeichnis) ', '[\\s\\S]*\\(0700\\)'), path => `chmod 0700 ${path}`),
  known(
    named('(?:data directory|Datenverzeichnis) ', ' (?:has wrong ownership|hat falschen)'),
    path => `give it back to the account of PostgreSQL: chown -R postgres:postgres ${path}`,
  ),
  known(
    /(?:initialized by PostgreSQL version|von PostgreSQL Version) (\d+)/,
    major =>
      `have PostgreSQL ${major} start it (Debian: apt install postgresql-${major}; NixOS: services.postgresql.package), or bring its data over with pg_upgrade (Debian: pg_upgradecluster ${major} main)`,
  ),
  known(
    /database files are incompatible with server|Datenbankdateien sind inkompatibel mit Server/,
    () =>
      'have the PostgreSQL start it that made the data: another build of this version reads it differently',
  ),
  // The same by pg_ctlcluster(1), in Perl.
  known(
    /is not accessible or does not exist|data directory ["»].*["«] does not exist|Datenverzeichnis ["»].*["«] existiert nicht/,
    () =>
      'look whether the disk of the data folder is mounted (findmnt), and what the setting data_directory says; a new cluster there would be an empty one',
  ),
  // guc.c, guc-file.l
  known(
    named(
      '(?:could not access the server configuration file|konnte nicht auf die Serverkonfigurationsdatei) ',
      '.*(?:Permission denied|Keine Berechtigung)',
    ),
    path => `let the account of PostgreSQL read it, and the folders above it: namei -l ${path}`,
  ),
  known(
    named(
      '(?:could not access the server configuration file|konnte nicht auf die Serverkonfigurationsdatei) ',
    ),
    path => `put ${path} back: a backup has it among its files (restore-postgres --list)`,
  ),
  known(
    /["»](lc_\w+)["«]: ["»]([^"»«]*)["«]/,
    (setting, locale) =>
      `install the locale ${locale} (${LOCALES}), or set ${setting} to one that locale -a has`,
  ),
  known(
    /["»]((?:log_)?time_?zone)["«]: ["»]([^"»«]*)["«]/i,
    (setting, zone) =>
      `set ${setting} to a time zone that is in /usr/share/zoneinfo; for ${zone}, look whether tzdata is whole`,
  ),
  // be-secure-openssl.c, be-secure-common.c
  known(
    named('(?:private key file|private Schlüsseldatei) ', '[\\s\\S]*\\(0600\\)'),
    path =>
      `chmod 0600 it and let it belong to the account of PostgreSQL: ${path}, in the data folder if it has no path`,
  ),
  known(
    /(?:could not|konnte) .*(?:certificate|private key|[Zz]ertifikat|Schlüssel).*?["»]([^"»«]+)["«].*: (?!No such|Permission|Datei|Keine)/,
    path =>
      `put a certificate there that is one, and the key that belongs to it: ${path} (ssl_cert_file, ssl_key_file)`,
  ),
  known(
    /(?:could not|konnte) .*(?:certificate|private key|[Zz]ertifikat|Schlüssel).*?["»]([^"»«]+)["«]/,
    path =>
      `put it back where the account of PostgreSQL can read it: ${path}, in the data folder if it has no path; or name another one (ssl_cert_file, ssl_key_file, ssl_ca_file)`,
  ),
  // dfmgr.c
  known(
    /(?:could not access file|could not load library|incompatible library|konnte nicht auf Datei|konnte Bibliothek|inkompatible Bibliothek) ["»]([^"»«]+)["«]/,
    library =>
      `install the package of this version of PostgreSQL that has the library ${library}, or take it out of shared_preload_libraries`,
  ),
  // hba.c
  known(
    /["» /]pg_(?:hba|ident)\.conf|could not load .*(?:hba|ident)/,
    () => 'correct the access rules where it names a line of them',
  ),
  // xlog.c, xlogrecovery.c, controldata_utils.c, postmaster.c
  known(
    /could not locate (?:a valid|required) checkpoint record|konnte keinen gültigen Checkpoint|konnte den nötigen Checkpoint/,
    () => `its log of changes is damaged, or was taken away: ${RESTORE}; pg_resetwal loses data`,
  ),
  known(
    /control file|pg_control\b|could not find the database system|konnte das Datenbanksystem nicht finden|is not a valid data directory|kein gültiges Datenverzeichnis|Kontrolldatei/,
    () => `the data folder is not whole: look whether its disk is mounted (findmnt); if it is, ${RESTORE}`,
  ),
  // Whatever else is wrong with a file.
  known(
    /["»](\/[^"»«]+)["«].*: (?:Permission denied|Keine Berechtigung)/,
    path => `let the account of PostgreSQL in: namei -l ${path}`,
  ),
]

/** Words that only say that there is something wrong with the settings, or what. */
const SETTINGS =
  /configuration file ["»].*contains errors|Konfigurationsdatei .* enthält Fehler|in (?:file|Datei) ["»].*["«],? (?:line|Zeile) \d+|(?:unrecognized configuration|invalid value for) parameter|unbekannter Konfigurationsparameter|ungültiger Wert für Parameter/

/**
 * What the words mean with which a server did not start.
 *
 * @param log what it said then
 * @param settings what it does not take of its settings as they are now
 * @returns undefined where nothing is known of it
 */
export function startProblem(log: readonly string[], settings: readonly string[]): StartProblem | undefined {
  // What is wrong now comes first, and nothing is said of settings that were corrected.
  for (const said of [settings, log.filter(line => settings.length > 0 || !SETTINGS.test(line))]) {
    const text = said.join('\n')
    for (const { pattern, remedy, mayStart } of START_PROBLEMS) {
      const found = pattern.exec(text)
      if (found) return { remedy: remedy(found[1] ?? '', found[2] ?? ''), mayStart: mayStart === true }
    }
    if (said === settings && settings.length > 0)
      return { remedy: 'correct what it names there, or take it out', mayStart: false }
  }
  return undefined
}
