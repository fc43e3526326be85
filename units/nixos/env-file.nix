# Settings as a file that two read: dotenv in the commands, and systemd for endo-api.service. They agree on a value
# without quotes, and on what stands in quotes as long as there is no backslash.
{ lib }:
let
  written =
    value:
    if builtins.match "[A-Za-z0-9_@%+=:,./-]+" value != null then
      value
    else if lib.hasInfix "'" value then
      ''"${value}"''
    else
      "'${value}'";
in
{
  # Every setting that is given, as text.
  given =
    let
      asText = value: if builtins.isString value || builtins.isPath value then toString value else builtins.toJSON value;
    in
    settings: lib.mapAttrs (_: asText) (lib.filterAttrs (_: value: value != null) settings);

  isWritable =
    value: builtins.match ".*\\\\.*" value == null && !(lib.hasInfix "'" value && lib.hasInfix ''"'' value);

  text = given: lib.concatStrings (lib.mapAttrsToList (name: value: "${name}=${written value}\n") given);
}
