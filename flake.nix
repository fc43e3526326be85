{
  description = "Provisions a PostgreSQL host for the EndoReg API: vault password, roles, databases, access rules";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      commands = lib.attrNames (lib.importJSON ./package.json).bin;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      systemOf = pkgs: pkgs.stdenv.hostPlatform.system;
      packageFor = pkgs: self.packages.${systemOf pkgs}.default;

      # Each boots machines, so it needs KVM.
      scenarios = {
        backup = ./test/nix/backup.nix;
        first-boot = ./test/nix/first-boot.nix;
        foreign-password = ./test/nix/foreign-password.nix;
        ipv6 = ./test/nix/ipv6.nix;
        reboot = ./test/nix/reboot.nix;
        rotation = ./test/nix/rotation.nix;
      };

      hosts = {
        example = [
          self.nixosModules.default
          ./units/nixos/example/host.nix
        ];
        # A host file that has LuxNix's options only. Those that are not about PostgreSQL are nobody's here.
        luxnix = [
          self.nixosModules.luxnix
          ./units/nixos/example/hardware.nix
          ./test/support/nix/hosts/gc-10.nix
          {
            _module.check = false;
            users.users.admin.isNormalUser = true;
          }
        ];
      };
      hostFor =
        system: name:
        lib.nixosSystem { modules = hosts.${name} ++ [ { nixpkgs.hostPlatform = system; } ]; };
      # Evaluated whole, with its assertions, and not built.
      evaluationOf =
        pkgs: name:
        let
          host = hostFor (systemOf pkgs) name;
        in
        pkgs.writeText "endoreg-provision-host-${name}" (
          builtins.unsafeDiscardStringContext host.config.system.build.toplevel.drvPath
        );
    in
    {
      packages = forEachSystem (pkgs: rec {
        default = endoreg-provision;
        endoreg-provision = pkgs.callPackage ./units/nixos/package.nix { };
      });

      overlays.default = final: _: {
        endoreg-provision = final.callPackage ./units/nixos/package.nix { };
      };

      nixosModules = {
        default = ./units/nixos/module.nix;
        # The same, and LuxNix's options for it.
        luxnix = ./units/nixos/luxnix.nix;
      };

      nixosConfigurations.example = hostFor "x86_64-linux" "example";

      apps = forEachSystem (
        pkgs:
        lib.genAttrs commands (name: {
          type = "app";
          program = "${packageFor pkgs}/bin/${name}";
          meta.description = "${name}, of ${(packageFor pkgs).meta.description}";
        })
      );

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShellNoCC {
          packages = [
            pkgs.git
            pkgs.nodejs
            pkgs.postgresql_16
            pkgs.python3
            pkgs.restic
          ];
          # For the tests that evaluate the module.
          NIXPKGS_LIB = "${nixpkgs}/lib";
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);

      checks = forEachSystem (
        pkgs:
        {
          package = packageFor pkgs;
          settings = pkgs.runCommand "endoreg-provision-settings" { } ''
            cp ${(hostFor (systemOf pkgs) "example").config.environment.etc."endoreg/provision.env".source} "$out"
          '';
          host-example = evaluationOf pkgs "example";
          host-luxnix = evaluationOf pkgs "luxnix";
        }
        // lib.mapAttrs' (
          name: scenario: lib.nameValuePair "vm-${name}" (pkgs.testers.runNixOSTest scenario)
        ) scenarios
      );
    };
}
