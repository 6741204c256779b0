/** Scored scenarios that do not pass, by revision, each with its reason. The run fails for one that passes. */

export const EXCEPTIONS = {
  '2025-11-25': {},
  '2026-07-28': {},
};
