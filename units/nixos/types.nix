# What settings may say: never less than the commands take (lib/frame/rules.ts has the same names), which check them
# again when a configuration is built.
{ lib }:
let
  inherit (lib) types;
  described = description: type: type // { inherit description; };
  # No //, no /./ or /../, and no / at the end.
  absolute = "(/([^/.][^/]*|[.][^/.][^/]*|[.][.][^/]+))+";
in
rec {
  absolutePath = described "absolute path, without // and /../ in it and / at its end" (
    types.strMatching absolute
  );

  # A path literal is taken here, so that an assertion can say what is wrong with it.
  secretFile = lib.mkOptionType {
    name = "secretFile";
    description = "absolute path, as a string, of a file that is not in the Nix store";
    descriptionClass = "noun";
    check = value: builtins.isPath value || absolutePath.check value;
    merge = lib.mergeEqualOption;
  };

  text = described "text on one line, not empty" (types.strMatching "[^[:cntrl:]]+");

  # What else the commands ask of an address, no password in it, they say when the configuration is built.
  gitRepository = text;
  djangoSettings = text;
  webAddress = text;
  resticRepository = text;

  # Letters and digits, of whatever script, and _.@$- but at the beginning.
  accountName = described "name of an account or group" (
    types.addCheck text (
      value:
      builtins.match ".*[][:space:]!\"#%&'()*+,/:;<=>?\\^`{|}~[].*" value == null
      && !lib.any (mark: lib.hasPrefix mark value) [
        "."
        "@"
        "$"
        "-"
      ]
    )
  );

  # PostgreSQL cuts longer ones off, and access rules take one with a slash in front for a regular expression.
  databaseName = described "name in PostgreSQL, of 63 bytes at most and without a slash in front" (
    types.addCheck text (value: builtins.stringLength value <= 63 && !lib.hasPrefix "/" value)
  );

  roleName = described "name of a role in PostgreSQL, of 63 bytes at most and without a slash in front, which PostgreSQL does not keep for itself" (
    types.addCheck databaseName (value: !lib.hasPrefix "pg_" value && value != "public" && value != "none")
  );

  port = described "port, from 1 to 65535" (types.ints.between 1 65535);

  seconds = described "seconds, more than 0 and at most 86400" (
    types.addCheck types.number (value: value > 0 && value <= 86400)
  );

  host = described "host name or address" (
    types.strMatching "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+"
  );

  socketFolderOrHost = described "absolute path of a socket's folder, or host name or address" (
    types.either absolutePath host
  );

  pythonModule = described "name of a Python module" (
    types.strMatching "[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*"
  );

  branch = described "name of a branch" (
    types.addCheck (types.strMatching "[A-Za-z0-9_][A-Za-z0-9_./+-]*") (value: !lib.hasInfix ".." value)
  );
}
