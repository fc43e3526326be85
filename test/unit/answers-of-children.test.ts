import t from 'tap'
import { Failure } from '../../lib/frame/failure.ts'
import { Password } from '../../lib/frame/password.ts'
import { fromAnswer, fromJson, isAnswer, parseAnswer, toAnswer, toJson } from '../../lib/host/as-account.ts'

t.test('bytes and passwords come through a pipe as they are', t => {
  const value = {
    text: 'ä',
    none: null,
    yes: true,
    list: [1, { inner: Buffer.from([0, 255]) }],
    password: new Password('it’s "one"'),
    empty: new Uint8Array(0),
  }
  const back = fromJson(toJson(value))
  t.same(back, { ...value, empty: Buffer.alloc(0) })
  t.ok(back && typeof back === 'object' && 'password' in back && back.password instanceof Password)
  t.equal(toJson(new Password('x')), '{"$password":"x"}')
  t.throws(() => fromJson('{'), { name: 'SyntaxError' })
  t.end()
})

t.test('an error is told as what it is', t => {
  const back = (error: unknown): unknown => {
    const answer = parseAnswer(toJson(toAnswer(error)))
    if (!answer) return 'no answer'
    try {
      return fromAnswer(answer)
    } catch (thrown) {
      return thrown
    }
  }
  const text = { message: 'm', cause: 'c', hint: 'h' }
  for (const code of [64, 69, 70, 73, 74, 75, 77, 78] as const) {
    const failure = back(new Failure(code, text))
    t.ok(failure instanceof Failure)
    t.match(failure, { code, message: 'm', reason: 'c', hint: 'h' })
  }
  const system = back(Object.assign(new Error('no'), { code: 'ENOENT' }))
  t.notOk(system instanceof Failure)
  t.match(system, { code: 'ENOENT', message: 'no' })
  t.match(back(new TypeError('a bug')), { message: /TypeError: a bug\n.*at / })
  t.match(back('thrown'), { message: 'thrown' })
  t.equal(parseAnswer(toJson({ result: undefined })) && fromAnswer({}), undefined)
  t.end()
})

t.test('what is no answer is none', t => {
  const failure = { kind: 'understood', code: 75, message: 'm', cause: 'c', hint: 'h' }
  t.ok(isAnswer({ failure }))
  t.ok(isAnswer({ result: 1 }))
  t.ok(isAnswer({}))
  const others = [
    null,
    1,
    'x',
    { result: 1, failure },
    { failure: {} },
    { failure: { ...failure, code: 0 } },
    { failure: { ...failure, code: 1 } },
    { failure: { ...failure, code: '75' } },
    { failure: { ...failure, more: 1 } },
    { failure: { ...failure, kind: 'other' } },
    { failure: { ...failure, hint: undefined } },
    { failure: { kind: 'system', errno: 1, message: 'm' } },
    { failure: { kind: 'bug' } },
    { other: 1 },
  ]
  for (const other of others) t.notOk(isAnswer(other), JSON.stringify(other))
  for (const text of ['', '\n', '{', '{}{}', '[]x', '{"result":1} x'])
    t.equal(parseAnswer(text), undefined, text)
  t.end()
})
