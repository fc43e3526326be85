# pg_hba.conf and pg_ident.conf of a manifest, byte for byte as lib/postgres/hba/render.ts has them: PostgreSQL gets
# them from the configuration, the commands compare them with the manifest, and a test compares both.
{ lib }:
let
  # A name that needs no quotes; a name that is a keyword means the keyword.
  isPlain = name: builtins.match "[A-Za-z0-9_./:\\\\^()*$-]+" name != null;
  quoted = name: ''"${lib.replaceStrings [ ''"'' ] [ ''""'' ] name}"'';
  quotedUnlessPlain = name: if isPlain name then name else quoted name;
  part =
    name:
    if !isPlain name && lib.hasPrefix "+" name then
      "+" + quotedUnlessPlain (lib.removePrefix "+" name)
    else
      quotedUnlessPlain name;

  # Commas between parts, of which one in quotes is a name and stays in them; a regular expression is one part.
  blanks = "[[:space:]]*";
  trimmed =
    name:
    let
      inner = builtins.head (builtins.match "${blanks}(.*[^[:space:]])?${blanks}" name);
    in
    if inner == null then "" else inner;
  parts =
    text:
    let
      name = builtins.match ''${blanks}("([^"]|"")*")${blanks}(,(.*))?'' text;
      plain = builtins.match "([^,]*)(,(.*))?" text;
      found = if name != null then name else plain;
      rest = lib.last found;
    in
    [ (if name != null then builtins.head name else part (trimmed (builtins.head plain))) ]
    ++ (if rest == null then [ ] else parts rest);
  field = text: if lib.hasPrefix "/" text then part text else lib.concatStringsSep "," (parts text);

  # JavaScript counts a string's length in UTF-16 and Nix in bytes, and columns are made by that length. In UTF-8 a
  # byte that continues a character counts nothing, and the first of four counts twice.
  firstContinuing = builtins.substring 1 1 "À";
  firstLeading = builtins.substring 0 1 "¡";
  firstOfFour = builtins.substring 0 1 "𐀀";
  width =
    text:
    lib.foldl' (
      sum: byte:
      if byte < firstContinuing then
        sum + 1
      else if byte < firstLeading then
        sum
      else if byte < firstOfFour then
        sum + 1
      else
        sum + 2
    ) 0 (lib.stringToCharacters text);
  pad = length: text: text + lib.concatStrings (lib.genList (_: " ") (length - width text));

  columns =
    rows:
    let
      widths = lib.foldl' (lib.zipListsWith lib.max) (map width (builtins.head rows)) (
        map (map width) (builtins.tail rows)
      );
      line = row: lib.concatStringsSep " " (lib.zipListsWith pad widths row);
      trimEnd = text: builtins.head (builtins.match "(.*[^ ])? *" text);
    in
    if rows == [ ] then [ ] else map (row: trimEnd (line row)) rows;

  declaredRules =
    { hba, remoteAdministrator, ... }:
    let
      spelt =
        rule:
        if rule.address == "loopback" then
          map (address: rule // { inherit address; }) [
            "127.0.0.1/32"
            "::1/128"
          ]
        else
          [ rule ];
      length = if lib.hasInfix ":" remoteAdministrator then "128" else "32";
      remote = database: role: {
        type = "host";
        inherit database role;
        address = "${remoteAdministrator}/${length}";
        method = "scram-sha-256";
        map = null;
      };
    in
    lib.concatMap spelt hba
    ++ lib.optionals (remoteAdministrator != null) [
      (remote "all" "all")
      (remote "devUser" "devUser")
      (remote "all" "postgres")
    ];

  text = lines: lib.concatMapStrings (line: line + "\n") lines;
in
{
  authentication =
    manifest:
    text (
      columns (
        map (rule: [
          rule.type
          (field rule.database)
          (field rule.role)
          (if rule.address == null then "" else rule.address)
          (if rule.map == null then rule.method else "${rule.method} map=${part rule.map}")
        ]) (declaredRules manifest)
      )
    );

  identMap =
    manifest:
    text (
      columns (
        map (mapping: [
          (part mapping.map)
          (field mapping.account)
          (field mapping.role)
        ]) manifest.ident
      )
    );
}
