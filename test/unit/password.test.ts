import { format, inspect } from 'node:util'
import t from 'tap'
import { Password } from '../../lib/frame/password.ts'

const SECRET = 'correct horse battery staple'
const password = new Password(SECRET)
const shown = inspect

t.test('only reveal() gives the text', async t => {
  t.equal(password.reveal(), SECRET)
})

t.test('nothing prints it', async t => {
  const faces: Record<string, string> = {
    template: `${password}`,
    String: String(password),
    join: [password].join(),
    JSON: JSON.stringify({ password, list: [password] }),
    inspect: shown(password),
    'inspect inside': shown({ list: [new Map([['password', password]])] }, { depth: 9 }),
    'inspect of its fields': shown(password, { customInspect: false, showHidden: true, getters: true }),
    'format %s %j %o %O': format('%s %j %o %O', password, password, password, password),
    'cause of an error': shown(new Error('no', { cause: password })),
    'stack of an error': String(new Error(`no ${password}`).stack),
    'property of an error': shown(Object.assign(new Error('no'), { password })),
    keys: [...Reflect.ownKeys(password), ...Object.keys(password)].map(String).join(),
    clone: shown(structuredClone(password)),
  }
  for (const [name, text] of Object.entries(faces)) t.notOk(/correct|staple/.test(text), name)
  t.equal(faces['template'], '[password]')
  t.equal(faces['JSON'], '{"password":"[password]","list":["[password]"]}')
  t.equal(faces['inspect'], '[password]')
})

t.test('two are equal by their text', async t => {
  t.equal(password.equals(new Password(SECRET)), true)
  t.equal(password.equals(new Password(`${SECRET} `)), false)
})

t.test('a generated one is 32 random bytes in base64', async t => {
  const sizes: number[] = []
  const fixed = Password.generate(size => {
    sizes.push(size)
    return Buffer.alloc(size, 0xff)
  })
  t.strictSame(sizes, [32])
  t.equal(fixed.reveal(), `${'/'.repeat(42)}8=`)
  const made = Array.from({ length: 20 }, () => Password.generate().reveal())
  for (const text of made) t.match(text, /^[A-Za-z0-9+/]{43}=$/)
  t.equal(new Set(made).size, made.length)
})
