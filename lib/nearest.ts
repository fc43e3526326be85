import leven from 'leven'

/** The one of `known` that `name` was most likely meant to be, by edit distance; undefined where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined
  for (const candidate of known) {
    const distance = leven(name, candidate)
    if (distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { name: candidate, distance }
  }
  return best && best.distance <= Math.max(3, name.length / 3) ? best.name : undefined
}
