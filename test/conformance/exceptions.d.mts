/** Types of `exceptions.mjs`, for its tests. */

export const EXCEPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>>;
