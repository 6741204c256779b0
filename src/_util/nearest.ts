/** Knows which of many names a person may have meant by a wrong one. */

/** Characters of a name that are compared. */
const COMPARED = 64;

/** Up to `count` of `candidates` that a person who wrote `name` may have meant, the nearest first. */
export function nearest(name: string, candidates: Iterable<string>, count = 3): string[] {
  const wanted = name.toLowerCase();
  const scored: { candidate: string; score: number }[] = [];
  for (const candidate of candidates) {
    const lower = candidate.toLowerCase();
    const score =
      lower.includes(wanted) || wanted.includes(lower)
        ? Math.abs(lower.length - wanted.length) / 10
        : distance(wanted, lower);
    if (score <= Math.max(2, wanted.length / 3)) scored.push({ candidate, score });
  }
  scored.sort((a, b) => a.score - b.score || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, count).map((entry) => entry.candidate);
}

/** Edits from one text to the other (Levenshtein), over at most 64 characters of each. */
function distance(a: string, b: string): number {
  const [from, to] = [a.slice(0, COMPARED), b.slice(0, COMPARED)];
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++)
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1));
    row = next;
  }
  return row[to.length]!;
}
