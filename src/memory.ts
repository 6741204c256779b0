/** Knows what memory this process and its children hold, and when the store gives up something of its own. */

import type { Clock, Timer } from './_util/clock.js';
import { rssOf } from './connection/group-rss.js';
import type { Logger, MemoryEvent } from './events.js';
import { MemoryLimits } from './memory-limits.js';
import { Collection } from './observe/collection.js';
import { LoopLag } from './observe/loop-lag.js';
import {
  type ChildMemory,
  childOf,
  type MemorySample,
  type MemorySummary,
  sampleOf,
  summaryOf,
  type TimedSample,
} from './observe/memory-figures.js';
import { CALM, cooled, type MemoryStep, nextStep } from './observe/memory-policy.js';
import { asObject, refuseUnknown } from './option-rules.js';
import type { MemoryOptions, ResolvedPerformance } from './options.js';
import type { ResultCache } from './service/cache.js';
import type { Service } from './service/service.js';

const KEPT = 100;
const SUMMARIZED = 10;
/** Between two steps. */
const COOL_INTERVALS = 2;
/** Without a collection a step is judged by what it let go after so long: a program that rests may have none. */
const JUDGED_INTERVALS = 10;

export interface MemoryParts {
  clock: Clock;
  services: () => Iterable<Service>;
  cache: Pick<ResultCache, 'stats' | 'trim'>;
  /** Closes connections that were unused for so long, down to each minimum; returns how many. */
  closeIdle: (maxIdleMs: number) => number;
  /** `store.configure` for these options. */
  configure: (options: MemoryOptions) => void;
  emit: (event: MemoryEvent) => void;
  logger: Logger | undefined;
  /** What is measured; tests put their own in place. */
  rssOf?: typeof rssOf;
  sampleOf?: typeof sampleOf;
  collection?: Pick<Collection, 'await' | 'done'>;
}

/** Figures of memory for `stats()`. */
export interface MemoryStats {
  /** The last sample; undefined while none are taken. */
  current: MemorySample | undefined;
  /** Steps that let something go. */
  steps: Record<MemoryStep, number>;
  /** Processes that were replaced for their `maxMemoryMb`. */
  restarts: number;
}

export class MemoryMonitor {
  readonly #parts: Required<MemoryParts>;
  readonly #limits: MemoryLimits;
  readonly #lag = new LoopLag();
  readonly #samples: TimedSample[] = [];
  readonly #steps: Record<MemoryStep, number> = { trim: 0, clear: 0, idle: 0 };
  #options: ResolvedPerformance['memory'];
  #timer: Timer | undefined;
  #running: Promise<MemorySample | undefined> | undefined;
  /** Rounds that were begun; only the last one sets the next going. */
  #rounds = 0;
  #pressure = CALM;
  /** The last step, until it is judged. */
  #open: { step: MemoryStep; before: MemorySample; at: number } | undefined;
  /** Bytes of results that were let go, as JSON, and not collected yet. In MiB. */
  #garbageMb = 0;
  #warned = false;
  #closed = false;

  /** @internal */
  constructor(parts: MemoryParts, options: ResolvedPerformance['memory']) {
    this.#parts = { rssOf, sampleOf, collection: new Collection(), ...parts };
    const { clock, services } = parts;
    this.#limits = new MemoryLimits({ clock, services, emit: (event) => this.#tell(event) });
    this.#options = { ...options, enabled: false };
    this.configure(options);
  }

  /**
   * `configure({ memory: { ...options, enabled: true } })`, and a sample at once, to which it resolves. A second start
   * takes its options over and goes on with the one loop.
   * @throws StoreError `OPTION_INVALID`, `STORE_CLOSED`
   */
  async start(options: Omit<MemoryOptions, 'enabled'> = {}): Promise<MemorySample> {
    refuseUnknown(asObject(options, 'options'), ['intervalMs', 'thresholdMb'], '');
    const before = this.#running;
    this.#parts.configure({ ...options, enabled: true });
    // What was stopped has begun a round by that.
    if (this.#running === before) this.#running = this.#round();
    return (await this.#running)!;
  }

  /** `configure({ memory: { enabled: false } })`: what was sampled stays. */
  stop(): void {
    this.#parts.configure({ enabled: false });
  }

  /** One sample now, kept with the others; also while it is stopped. */
  async sample(): Promise<MemorySample> {
    return this.#keep(await this.#children(this.#parts.services()));
  }

  /** The last ten samples together; undefined where there is none. */
  summary(): MemorySummary | undefined {
    return summaryOf(this.#samples.slice(-SUMMARIZED));
  }

  /** The last hundred, the oldest first. */
  get samples(): readonly MemorySample[] {
    return this.#samples.map(({ sample }) => sample);
  }

  /** @internal */
  stats(): MemoryStats {
    const current = this.#options.enabled ? this.#samples.at(-1)?.sample : undefined;
    return { current, steps: { ...this.#steps }, restarts: this.#limits.restarts };
  }

  /** @internal Options that may have changed. */
  configure(options: ResolvedPerformance['memory']): void {
    const { enabled, thresholdMb, intervalMs } = this.#options;
    this.#options = options;
    if (options.thresholdMb !== thresholdMb || !options.enabled) this.#pressure = CALM;
    if (options.enabled && !enabled) {
      this.#lag.start();
      this.#running = this.#round();
      this.#running.catch(() => {});
    } else if (!options.enabled && enabled) {
      this.#lag.stop();
      this.#open = undefined;
      this.#wait();
    } else if (options.intervalMs !== intervalMs) this.#wait();
  }

  /** @internal A service runs: where it has a limit, it is looked at from now on. */
  watch(service: Service): void {
    if (this.#timer === undefined && service.definition?.options.maxMemoryMb !== undefined) this.#wait();
  }

  /** @internal */
  close(): void {
    this.#closed = true;
    this.#lag.stop();
    this.#timer?.cancel();
  }

  /** Looks, does what has to be done, and waits for the next round. The sample is undefined where none is wanted. */
  async #round(): Promise<MemorySample | undefined> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const round = ++this.#rounds;
    try {
      const { enabled, intervalMs } = this.#options;
      const limited = this.#limits.limited;
      const children = await this.#children(enabled ? this.#parts.services() : limited);
      const sample = enabled ? this.#keep(children) : undefined;
      // One that was begun later does the rest.
      if (this.#closed || round !== this.#rounds) return sample;
      if (children) this.#limits.look(children, intervalMs);
      else if (limited.length > 0) this.#cannotTell();
      if (sample && this.#options.enabled) this.#press(sample);
      return sample;
    } finally {
      if (round === this.#rounds) this.#wait();
    }
  }

  #wait(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || !(this.#options.enabled || this.#limits.limited.length > 0)) return;
    this.#timer = this.#parts.clock.after(this.#options.intervalMs, () => {
      // A system that is out of descriptors cannot tell what is used; the next round asks again.
      this.#round().catch(() => {});
    });
  }

  async #children(services: Iterable<Service>): Promise<ChildMemory[] | undefined> {
    const names = new Map<number, string>();
    for (const service of services) for (const pid of service.processes) names.set(pid, service.name);
    const rss = await this.#parts.rssOf(names.keys());
    return rss && [...rss].map(([pid, bytes]) => childOf(names.get(pid)!, pid, bytes));
  }

  #keep(children: ChildMemory[] | undefined): MemorySample {
    const { clock } = this.#parts;
    const sample = this.#parts.sampleOf(clock.wall(), children, this.#lag.read(), this.#samples.at(-1)?.sample);
    this.#samples.push({ now: clock.now(), sample });
    if (this.#samples.length > KEPT) this.#samples.shift();
    return sample;
  }

  /** Judges the last step where that can be done, and takes the next where one is due. */
  #press(sample: MemorySample): void {
    const { clock, collection } = this.#parts;
    const { thresholdMb, intervalMs } = this.#options;
    const now = clock.now();
    const collected = collection.done;
    if (collected) this.#garbageMb = 0;
    if (this.#open) {
      const { step, before, at } = this.#open;
      if (collected || now - at >= JUDGED_INTERVALS * intervalMs) {
        this.#open = undefined;
        const freedMb = Math.round((before.usedMb - sample.usedMb) * 100) / 100;
        this.#tell({ type: 'effect', step, before, after: sample, freedMb, collected });
      }
    }
    const judged = this.#open === undefined;
    const usedMb = sample.usedMb - this.#garbageMb;
    // A listener may have switched it off.
    while (this.#options.enabled) {
      const { pressure, step, news } = nextStep(this.#pressure, { now, usedMb, thresholdMb, judged });
      this.#pressure = pressure;
      if (news) this.#tell({ type: news, sample });
      if (step === undefined) return;
      const released = this.#release(step);
      // Nothing of that kind is there: the next step is due at once.
      if (released.entries + released.connections === 0) continue;
      this.#pressure = cooled(pressure, now + COOL_INTERVALS * intervalMs);
      this.#open = { step, before: sample, at: now };
      this.#garbageMb += released.bytes / (1024 * 1024);
      collection.await();
      this.#steps[step]++;
      this.#tell({ type: 'step', step, released, before: sample });
      return;
    }
  }

  #release(step: MemoryStep): { entries: number; bytes: number; connections: number } {
    const { cache, closeIdle } = this.#parts;
    if (step === 'idle') return { entries: 0, bytes: 0, connections: closeIdle(this.#options.intervalMs) };
    return { ...cache.trim(step === 'trim' ? cache.stats().bytes / 2 : 0), connections: 0 };
  }

  #tell(event: MemoryEvent): void {
    const [level, text] = TOLD[event.type];
    this.#parts.logger?.[level](event, text);
    this.#parts.emit(event);
  }

  #cannotTell(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#parts.logger?.warn({}, 'this system does not tell what processes hold: maxMemoryMb has no effect');
  }
}

const TOLD = {
  step: ['info', 'too much memory in use: the store gave something up'],
  effect: ['debug', 'what came of giving something up'],
  relieved: ['info', 'little enough memory in use again'],
  spent: ['warn', 'too much memory in use, and nothing is left that the store could give up'],
  restarted: ['warn', 'a process over its maxMemoryMb was replaced'],
  kept: ['warn', 'a process over its maxMemoryMb was not replaced'],
} as const satisfies Record<MemoryEvent['type'], readonly ['debug' | 'info' | 'warn', string]>;
