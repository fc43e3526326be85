#!/bin/bash
# Holds what one machine needs between its boots: a disk, its root, its control groups. Waits for the end of
# standard input, which also comes when the test process is killed, and then takes everything away.
set -euo pipefail
name=$1 lower=$2 size=$3
groups=()

release() {
  for group in "${groups[@]}"; do
    until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
      find "$group" -name cgroup.procs -exec cat {} + | xargs -r kill -KILL 2>/dev/null || true
      sleep 0.01
    done
  done
}
trap release EXIT

# systemd-nspawn leaves notes about its machines in /run: in this namespace they go with it.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/disk /run/root
mount -t tmpfs -o "mode=755,size=$size" tmpfs /run/disk
mkdir /run/disk/upper /run/disk/work
mount -t overlay -o "lowerdir=$lower,upperdir=/run/disk/upper,workdir=/run/disk/work" overlay /run/root

# Two machines in one group kill each other's processes.
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -w "$hierarchy/cgroup.procs" ] || continue
  mkdir "$hierarchy/$name"
  groups+=("$hierarchy/$name")
done
echo ready
cat >/dev/null
