// Loaded first by the `node` beside it: a Node.js that refuses to change ids, as that of Debian 13 does.
const refuse = () => {
  throw Object.assign(new Error('refused'), { code: 'ERR_INVALID_STATE' })
}
for (const name of ['setuid', 'seteuid', 'setgid', 'setegid', 'setgroups', 'initgroups'])
  process[name] = refuse
