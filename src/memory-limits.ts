/** Knows which processes hold more memory than their service allows, and replaces them between calls. */

import type { Clock } from './_util/clock.js';
import type { MemoryEvent } from './events.js';
import type { ChildMemory } from './observe/memory-figures.js';
import type { Service } from './service/service.js';

/** A process whose calls do not end is given more time at each look: new ones wait so long for it at most. */
const PATIENCE_MS = { first: 1_000, longest: 32_000 };
/** One that is too big from the start is replaced ever more seldom: after 2 intervals, 4, … */
const COOL_INTERVALS = { first: 2, longest: 32 };

export interface LimitParts {
  clock: Clock;
  services: () => Iterable<Service>;
  emit: (event: MemoryEvent) => void;
}

/** Of a service that was over its limit when it was last looked at. */
interface Trouble {
  patienceMs: number;
  coolIntervals: number;
  /** Monotonic. */
  notBefore: number;
  renewing: boolean;
  /** Leased ones that were told. */
  told: Set<number>;
}

export class MemoryLimits {
  readonly #parts: LimitParts;
  readonly #trouble = new WeakMap<Service, Trouble>();
  /** Processes that were replaced. */
  restarts = 0;

  constructor(parts: LimitParts) {
    this.#parts = parts;
  }

  /** Those that have a limit, and have run. */
  get limited(): Service[] {
    const all = [...this.#parts.services()];
    return all.filter((service) => limitOf(service) !== undefined && service.endpoints.length > 0);
  }

  /** Begins what has to be done about these; does not wait for it. */
  look(children: readonly ChildMemory[], intervalMs: number): void {
    for (const service of this.limited) {
      const maxMemoryMb = limitOf(service)!;
      const over = children.filter((child) => child.service === service.name && child.rssMb > maxMemoryMb);
      if (over.length > 0) this.#over(service, over, maxMemoryMb, intervalMs);
      else if (!this.#trouble.get(service)?.renewing) this.#trouble.delete(service);
    }
  }

  #over(service: Service, over: readonly ChildMemory[], maxMemoryMb: number, intervalMs: number): void {
    const trouble = this.#trouble.get(service) ?? {
      patienceMs: PATIENCE_MS.first,
      coolIntervals: COOL_INTERVALS.first,
      notBefore: Number.NEGATIVE_INFINITY,
      renewing: false,
      told: new Set(),
    };
    this.#trouble.set(service, trouble);
    const { clock, emit } = this.#parts;
    if (trouble.renewing || clock.now() < trouble.notBefore) return;
    trouble.renewing = true;
    void this.#renewFirst(service, over, maxMemoryMb, trouble)
      .then((renewed) => {
        if (!renewed) return;
        this.restarts++;
        trouble.patienceMs = PATIENCE_MS.first;
        trouble.notBefore = clock.now() + trouble.coolIntervals * intervalMs;
        trouble.coolIntervals = Math.min(2 * trouble.coolIntervals, COOL_INTERVALS.longest);
        emit(renewed);
      })
      .finally(() => {
        trouble.renewing = false;
      });
  }

  /** One at a time, the biggest first: the others go on serving. */
  async #renewFirst(
    service: Service,
    over: readonly ChildMemory[],
    maxMemoryMb: number,
    trouble: Trouble,
  ): Promise<MemoryEvent | undefined> {
    const { clock, emit } = this.#parts;
    for (const child of [...over].sort((a, b) => b.rssMb - a.rssMb)) {
      const since = clock.now();
      const outcome = await service.renew(child.pid, trouble.patienceMs);
      if (outcome === 'renewed')
        return { type: 'restarted', ...child, maxMemoryMb, waitedMs: Math.round(clock.now() - since) };
      if (outcome === 'busy') {
        trouble.patienceMs = Math.min(2 * trouble.patienceMs, PATIENCE_MS.longest);
        emit({ type: 'kept', ...child, maxMemoryMb, why: 'busy' });
        return undefined;
      }
      if (outcome === 'gone' || trouble.told.has(child.pid)) continue;
      trouble.told.add(child.pid);
      emit({ type: 'kept', ...child, maxMemoryMb, why: 'leased' });
    }
    return undefined;
  }
}

function limitOf(service: Service): number | undefined {
  return service.definition?.options.maxMemoryMb;
}
