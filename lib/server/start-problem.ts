// What PostgreSQL's words for why it does not start mean. They may be in another language (lc_messages): what is looked for
// stays the same in most of them, or is English and German. What is not known here is only quoted.
//
// A client writes into a log before it has logged in (log_line_prefix has its names as they are), and the account of
// PostgreSQL writes its log itself. So nothing of these words but a number comes into the advice, which root may paste.

type Known = {
  readonly pattern: RegExp
  /** What a person does first, as a sentence that goes on. */
  readonly remedy: string | ((number: string) => string)
}

const known = (pattern: RegExp, remedy: Known['remedy']): Known => ({ pattern, remedy })

const RESTORE =
  'keep a copy of the data folder as it is, then make a new cluster and restore the last backup (restore-postgres --list)'

/** The first that fits counts. Behind each stands the source that says so. */
const START_PROBLEMS: readonly Known[] = [
  // The system's words, whatever PostgreSQL was doing (strerror(3)).
  known(
    /Read-only file system|Dateisystem ist nur lesbar/i,
    'a file system there is mounted read-only, as the kernel does after errors of a disk: look at dmesg and findmnt, and make it writable again',
  ),
  known(
    /No space left on device|Disk quota exceeded|kein Speicherplatz mehr|Der zugewiesene Plattenplatz/,
    'free some space on the disk that it names (df -h; df -i)',
  ),
  known(
    /Address already in use|Adresse wird bereits verwendet/,
    'see who has the address (ss -ltnp), and stop that, or give one of the two another port',
  ),
  // sysv_shmem.c
  known(
    /Cannot allocate memory|could not create shared memory segment|Nicht genügend Hauptspeicher/,
    'lower shared_buffers, or reserve the huge pages that it wants (huge_pages, vm.nr_hugepages)',
  ),
  // systemd's words.
  known(/oom-kill|OOM killer/, 'see what took the memory: journalctl -k --grep=oom'),
  // miscinit.c: the lock file, the data folder and its version.
  known(
    /(?:postmaster\.pid|\.s\.PGSQL\.\d+\.lock)["«][\s\S]*\(PID (\d+)\)/,
    pid =>
      `see what that process is (ps -fp ${pid}): if it is a PostgreSQL, stop it by what started it; if it is something else that got its number, end it or restart the host`,
  ),
  known(
    /(?:could not create lock file|konnte Sperrdatei) ["»][^"»«]+["«](?: nicht erstellen)?: (?:No such file|Datei oder V)/,
    'make the folder of that file (systemd-tmpfiles --create), or correct unix_socket_directories',
  ),
  known(
    /(?:data directory|Datenverzeichnis) ["»][\s\S]*\(0700\)/,
    'take the rights of others at the data folder away, as the account of PostgreSQL (chmod 0700)',
  ),
  known(
    /(?:data directory|Datenverzeichnis) ["»][^"»«]+["«] (?:has wrong ownership|hat falschen)/,
    'give the data folder back to the account of PostgreSQL, with all that is in it (chown -R), after a look whether it is the one',
  ),
  known(
    /(?:initialized by PostgreSQL version|von PostgreSQL Version) (\d+)/,
    major =>
      `have PostgreSQL ${major} start it (Debian: apt install postgresql-${major}; NixOS: services.postgresql.package), or bring its data over with pg_upgrade (Debian: pg_upgradecluster)`,
  ),
  known(
    /database files are incompatible with server|Datenbankdateien sind inkompatibel mit Server/,
    'have the PostgreSQL start it that made the data: another build of this version reads it differently',
  ),
  // The same by pg_ctlcluster(1), in Perl.
  known(
    /is not accessible or does not exist|data directory ["»].*["«] does not exist|Datenverzeichnis ["»].*["«] existiert nicht/,
    'look whether the disk of the data folder is mounted (findmnt), and what the setting data_directory says; a new cluster there would be an empty one',
  ),
  // guc.c, guc-file.l
  known(
    /(?:could not access the server configuration file|konnte nicht auf die Serverkonfigurationsdatei) .*(?:Permission denied|Keine Berechtigung)/,
    'let the account of PostgreSQL read its configuration, and enter the folders above it (namei -l)',
  ),
  known(
    /could not access the server configuration file|konnte nicht auf die Serverkonfigurationsdatei/,
    'put its configuration back: a backup has it among its files (restore-postgres --list)',
  ),
  known(
    /["»]lc_\w+["«]: ["»]/,
    'install the locale that it names (Debian: name it in /etc/locale.gen and run locale-gen; NixOS: put it into the option i18n.supportedLocales), or give that setting one that locale -a has',
  ),
  known(
    /["»](?:log_)?time_?zone["«]: ["»]/i,
    'give that setting a time zone that is in /usr/share/zoneinfo, and look whether tzdata is whole',
  ),
  // be-secure-openssl.c, be-secure-common.c
  known(
    /(?:private key file|private Schlüsseldatei) ["»][\s\S]*\(0600\)/,
    'let the key belong to the account of PostgreSQL and take the rights of others away (chmod 0600); it is in the data folder if it has no path',
  ),
  known(
    /(?:could not|konnte) .*(?:certificate|private key|[Zz]ertifikat|Schlüssel).*?["»][^"»«]+["«].*: (?!No such|Permission|Datei|Keine)/,
    'put a certificate there that is one, and the key that belongs to it (ssl_cert_file, ssl_key_file)',
  ),
  known(
    /(?:could not|konnte) .*(?:certificate|private key|[Zz]ertifikat|Schlüssel).*?["»]/,
    'put it back where the account of PostgreSQL can read it, in the data folder if it has no path; or name another one (ssl_cert_file, ssl_key_file, ssl_ca_file)',
  ),
  // dfmgr.c
  known(
    /(?:could not access file|could not load library|incompatible library|konnte nicht auf Datei|konnte Bibliothek|inkompatible Bibliothek) ["»]/,
    'install the package of this version of PostgreSQL that has the library, or take it out of shared_preload_libraries',
  ),
  // hba.c
  known(
    /["» /]pg_(?:hba|ident)\.conf|could not load .*(?:hba|ident)/,
    'correct the access rules where it names a line of them',
  ),
  // xlog.c, xlogrecovery.c, controldata_utils.c, postmaster.c
  known(
    /could not locate (?:a valid|required) checkpoint record|konnte keinen gültigen Checkpoint|konnte den nötigen Checkpoint/,
    `its log of changes is damaged, or was taken away: ${RESTORE}; pg_resetwal loses data`,
  ),
  known(
    /control file|pg_control\b|could not find the database system|konnte das Datenbanksystem nicht finden|is not a valid data directory|kein gültiges Datenverzeichnis|Kontrolldatei/,
    `the data folder is not whole: look whether its disk is mounted (findmnt); if it is, ${RESTORE}`,
  ),
  // Whatever else is wrong with a file.
  known(
    /["»]\/[^"»«]+["«].*: (?:Permission denied|Keine Berechtigung)/,
    'let the account of PostgreSQL read what it names, and enter the folders above it (namei -l)',
  ),
]

/** Words that only say that there is something wrong with the settings, or what. */
const SETTINGS =
  /configuration file ["»].*contains errors|Konfigurationsdatei .* enthält Fehler|in (?:file|Datei) ["»].*["«],? (?:line|Zeile) \d+|(?:unrecognized configuration|invalid value for) parameter|unbekannter Konfigurationsparameter|ungültiger Wert für Parameter/

/**
 * What to do about the words with which a server did not start. They are of that time: what they name may be mended by now.
 *
 * @param log what it said then
 * @param settings what it does not take of its settings as they are now
 * @returns undefined where nothing is known of it
 */
export function startAdvice(log: readonly string[], settings: readonly string[]): string | undefined {
  // What is wrong now comes first, and nothing is said of settings that were corrected.
  for (const said of [settings, log.filter(line => settings.length > 0 || !SETTINGS.test(line))]) {
    const text = said.join('\n')
    for (const { pattern, remedy } of START_PROBLEMS) {
      const found = pattern.exec(text)
      if (found) return typeof remedy === 'string' ? remedy : remedy(found[1] ?? '')
    }
    if (said === settings && settings.length > 0) return 'correct what it names there, or take it out'
  }
  return undefined
}
