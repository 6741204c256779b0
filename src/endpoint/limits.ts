/** Knows the fixed bounds of an endpoint's recovery; docs/reliability.md lists them beside all other budgets. */

/** Restart back-off: 0.5 s, doubling to 60 s, full jitter (uniform between 0 and the delay). */
export const RESTART_DELAY_MS = 500;
export const RESTART_MAX_DELAY_MS = 60_000;
/** After so many failed starts within the window the endpoint is `failed`, and one start tries it every `PROBE_MS`. */
export const MAX_FAILED_STARTS = 5;
export const FAILED_WINDOW_MS = 60_000;
export const PROBE_MS = 300_000;
/** So many failed calls with no success between, within the window, take an endpoint out of use. */
export const TRIP_FAILURES = 5;
export const TRIP_WINDOW_MS = 60_000;
/** It is out for 10 s × n, up to 120 s, where n counts how often in a row; then one call probes it. */
export const OUT_MS = 10_000;
export const OUT_MAX_MS = 120_000;
/** So many unanswered health checks in a row end a connection. */
export const MAX_MISSES = 3;
/** A new or returning endpoint is given its full share of calls after so long. */
export const RAMP_MS = 10_000;
