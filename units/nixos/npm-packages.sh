# Fetches what the package.json and package-lock.json in this folder name into node_modules, verified by npm against
# the digests in the lock: the same bytes on every machine. npm's own notes and links are left out, and nothing of
# what is fetched is run.
set -eu
npm ci --ignore-scripts --no-bin-links --no-audit --no-fund --no-update-notifier --no-progress --loglevel=error
rm node_modules/.package-lock.json
