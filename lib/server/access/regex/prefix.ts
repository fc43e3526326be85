import { RegexError, type Source, UnreadRegex } from './source.ts'

/** Reads what may stand in front of an expression: `***=`, `***:`, and options such as `(?i)` (manual, 9.7.3.4). */
export function readPrefix(source: Source): void {
  if (source.sees('***') && source.text.length > 3) {
    if (source.eat('***=')) {
      source.literal = true
      return
    }
    if (!source.eat('***:')) {
      throw new RegexError(
        source.sees('***?') ? 'invalid regexp (reg version 0.8)' : 'quantifier operand invalid',
      )
    }
  }
  const [all, options = '', end] = /^\(\?([A-Za-z]+)(\)?)/.exec(source.text.slice(source.at)) ?? []
  if (all === undefined) return
  source.at += all.length
  let syntax = ''
  for (const option of options) {
    if (option === 'c') source.ignoreCase = false
    else if (option === 'i') source.ignoreCase = true
    else if (option === 't') source.expanded = false
    else if (option === 'x') source.expanded = true
    else if ('mn'.includes(option)) source.newlineStops = source.newlineAnchors = true
    else if (option === 's') source.newlineStops = source.newlineAnchors = false
    else if ('pw'.includes(option)) {
      source.newlineStops = option === 'p'
      source.newlineAnchors = option === 'w'
    } else if ('beq'.includes(option)) syntax = option
    else throw new RegexError('invalid embedded option')
  }
  if (!end) throw new RegexError('invalid embedded option')
  if (syntax === 'b' || syntax === 'e') throw new UnreadRegex(`the older syntax of (?${syntax})`)
  source.literal = syntax === 'q'
}
