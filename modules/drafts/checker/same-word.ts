/** The ends of two words may differ, as inflected words do. */
export function sameWord(a: string, b: string): boolean {
  if (a === b) return true;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  let n = 0;
  while (n < short.length && short[n] === long[n]) n++;
  return n >= 4 && n >= short.length - (short.length < 8 ? 1 : 2) && long.length - n <= 4;
}
