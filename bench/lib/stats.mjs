/** Knows medians, their intervals, percentiles, and random numbers that a seed repeats. */

export const sorted = (values) => Float64Array.from(values).sort();

/** The value at `q` (0–1) of sorted values, by the nearest rank. */
export function percentile(ordered, q) {
  return ordered[Math.min(ordered.length - 1, Math.max(0, Math.ceil(q * ordered.length) - 1))];
}

/** Chance of at most `k` heads in `n` throws. */
function binomial(n, k) {
  let term = 0.5 ** n;
  let sum = term;
  for (let i = 1; i <= k; i++) {
    term *= (n - i + 1) / i;
    sum += term;
  }
  return sum;
}

/**
 * The median with its 95 % interval by order statistics, which assumes nothing of the distribution. Below six values
 * no such interval exists, and smallest and largest stand in for it.
 */
export function median(values) {
  const ordered = sorted(values);
  const n = ordered.length;
  const middle = n % 2 ? ordered[(n - 1) / 2] : (ordered[n / 2 - 1] + ordered[n / 2]) / 2;
  let k = 0;
  while (k < n / 2 - 1 && 2 * binomial(n, k) <= 0.05) k++;
  return { median: middle, low: ordered[Math.max(0, k - 1)], high: ordered[n - Math.max(1, k)], n };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function shuffled(values, random) {
  const out = [...values];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}
