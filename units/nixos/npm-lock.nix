# Of package.json and package-lock.json what the commands consist of: not what they are tested with, and nothing that
# is another file on another processor. With builtins alone, so that it can be looked at without nixpkgs.
let
  manifest = builtins.fromJSON (builtins.readFile ../../package.json);
  lock = builtins.fromJSON (builtins.readFile ../../package-lock.json);
  root = { inherit (manifest) name version dependencies; };
  isNeeded = path:
    let entry = lock.packages.${path};
    in path != "" && !(entry.dev or false) && !(entry.devOptional or false) && !(entry ? os || entry ? cpu);
  needed = builtins.filter isNeeded (builtins.attrNames lock.packages);
  entries = map (path: { name = path; value = lock.packages.${path}; }) needed;
in
rec {
  packageJson = builtins.toJSON root;
  packageLock = builtins.toJSON {
    inherit (lock) name version lockfileVersion requires;
    packages = builtins.listToAttrs entries // { "" = root; };
  };
  # Part of the name of what is fetched: the store must not take what it has for what another lock names.
  digest = builtins.substring 0 12 (builtins.hashString "sha256" packageLock);
}
