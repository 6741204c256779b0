/** Knows between which of its values a sample's median is certain to lie, to 95 %. */

/** Standard normal quantile of 97.5 %. */
const Z = 1.96;
/** With fewer values, even the smallest and the largest hold the median less often than that: 2 × 0.5^5 > 5 %. */
const FEWEST = 6;

/**
 * Ranks (from 1 on) of the values that bound the median with 95 % confidence: n/2 − 1.96·√n/2 rounded down, and
 * 1 + n/2 + 1.96·√n/2 rounded up. This takes no distribution for granted, and latencies follow none that is known; it
 * takes for granted that calls do not depend on each other. Source: M. J. Campbell, M. J. Gardner, "Calculating
 * confidence intervals for some non-parametric analyses", BMJ 296 (1988), 1454; rounded outwards here.
 * @returns undefined below 6 values
 */
export function medianRanks(n: number): readonly [low: number, high: number] | undefined {
  if (n < FEWEST) return undefined;
  const half = (Z * Math.sqrt(n)) / 2;
  return [Math.max(1, Math.floor(n / 2 - half)), Math.min(n, Math.ceil(1 + n / 2 + half))];
}
