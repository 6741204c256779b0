/** Knows the store-wide options in force, where each came from, and how they change: as a whole or not at all. */

import { errorAt } from './caller.js';
import type { StoreError } from './errors.js';
import { mergeOptions, type OptionLayer, resolvePerformance } from './option-layers.js';
import { checkPerformance } from './option-rules.js';
import type { PerformanceOptions, ResolvedPerformance } from './options.js';
import type { Service } from './service/service.js';

export interface TuningParts {
  services: () => Iterable<Service>;
  /** @throws StoreError `OPTION_INVALID` for what this store cannot do */
  check: (options: ResolvedPerformance) => void;
  /** Gives what belongs to the store its new options; the services get theirs after it. */
  apply: (options: ResolvedPerformance) => void;
}

export class Tuning {
  /** Which services look up theirs in; changed in place. */
  readonly layers: OptionLayer[];
  readonly #parts: TuningParts;
  /** Of `layers`: asked for at each call of a batch. */
  #resolved: ReturnType<typeof resolvePerformance>;

  /** @throws StoreError `OPTION_INVALID` */
  constructor(file: PerformanceOptions | undefined, code: PerformanceOptions | undefined, parts: TuningParts) {
    this.layers = [
      { source: 'file', values: file },
      { source: 'code', values: code },
    ];
    this.#parts = parts;
    this.#resolved = resolvePerformance(this.layers);
  }

  get options(): ResolvedPerformance {
    return this.#resolved.options;
  }

  get sources(): ReturnType<typeof resolvePerformance>['sources'] {
    return this.#resolved.sources;
  }

  /**
   * Changes what `options` names, over what code has set before.
   * @throws StoreError `OPTION_INVALID` with the path of what is wrong; nothing has changed then
   */
  configure(options: PerformanceOptions): void {
    checkPerformance(options, 'options');
    const code = this.layers.find(({ source }) => source === 'code')!;
    this.take('code', mergeOptions(code.values as PerformanceOptions | undefined, options));
  }

  /** Puts `values` in the place of all that this source has said. Throws as `configure` does. */
  take(from: 'file' | 'code', values: PerformanceOptions): void {
    const layers = this.layers.map((layer) => (layer.source === from ? { source: from, values } : layer));
    const resolved = resolvePerformance(layers);
    this.#parts.check(resolved.options);
    for (const service of this.#parts.services())
      try {
        service.checkLayers(layers);
      } catch (error) {
        throw errorAt(error as StoreError, service.name, { service: service.name });
      }
    this.layers.splice(0, layers.length, ...layers);
    this.#resolved = resolved;
    this.#parts.apply(resolved.options);
    for (const service of this.#parts.services()) service.configure();
  }
}
