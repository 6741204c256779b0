/** Knows how a measured number is shown. */

/** Three significant digits, and never fewer than the whole number has; a dash where there is none. */
export function exact(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(3));
}
