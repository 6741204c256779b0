/** Knows the options of one service: the store's, with what its configuration says on top, and where each is from. */

import type { ServiceDefinition } from '../config/definition.js';
import { type OptionLayer, resolvePerformance } from '../option-layers.js';
import type { OptionSource, ResolvedPerformance } from '../options.js';

export interface ResolvedOptions {
  options: ResolvedPerformance;
  sources: Readonly<Record<string, OptionSource>>;
  /** Longest silence of a call without and with a `timeoutMs` of its own; 0: its deadline alone counts. */
  silenceMs: number;
  silenceMsTimed: number;
}

/** @throws StoreError `OPTION_INVALID` where the store's options and the service's own do not fit together */
export function resolveOptions(
  definition: ServiceDefinition | undefined,
  layers: readonly OptionLayer[],
): ResolvedOptions {
  const timeout = definition?.callTimeoutMs;
  const resolved = resolvePerformance([
    ...layers,
    { source: 'service', values: timeout === undefined ? undefined : { calls: { callTimeoutMs: timeout } } },
    { source: 'service', values: definition?.options },
  ]);
  const { readTimeoutMs } = resolved.options.connectionPool;
  // A time-out that was given replaces the default `readTimeoutMs`, but not one that was set.
  const silenceMsTimed = resolved.sources['connectionPool.readTimeoutMs'] === 'default' ? 0 : readTimeoutMs;
  const timed = resolved.sources['calls.callTimeoutMs'] === 'service';
  return { ...resolved, silenceMs: timed ? silenceMsTimed : readTimeoutMs, silenceMsTimed };
}
