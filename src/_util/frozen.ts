/** Knows how plain data is frozen, so that what several share none of them can change. */

/** Freezes it and tells its bytes; undefined where it is nested too deeply to be kept. */
export function frozenSize(value: object): number | undefined {
  try {
    return Buffer.byteLength(JSON.stringify(freeze(value)));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Deeply: what several callers share, none of them can change. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key in value) freeze(value[key]);
  return value;
}
