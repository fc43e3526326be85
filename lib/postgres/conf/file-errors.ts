/** A name as PostgreSQL compares it. Of what is no text in the database's encoding, other collations make an error. */
export const asciiLower = (name: string): string => `lower(${name} COLLATE "C")`

/**
 * The condition under which a row `f` of pg_file_settings is an error, and does not only say that a setting waits for
 * a restart: its new value, or that it is in no file any more (ProcessConfigFileInternal() in guc.c). Names in files
 * may be in upper and lower case.
 */
export const IS_FILE_ERROR = `(f.error IS NOT NULL AND NOT EXISTS (
  SELECT FROM pg_settings AS waiting WHERE waiting.pending_restart AND (${asciiLower('waiting.name')} = ${asciiLower('f.name')}
    OR f.error = format('parameter "%s" cannot be changed without restarting the server', waiting.name))))`
