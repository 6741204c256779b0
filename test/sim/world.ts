/** Knows the one simulated world of a run: its time, its randomness, its trace, and what servers really did. */

import { createHash } from 'node:crypto';
import type { SimChild } from './child.js';
import { Loop } from './loop.js';
import type { SimHost } from './net.js';
import { Random } from './random.js';

/** A program that can be spawned: what happens at its start, and what it does once it runs. */
export interface Program {
  /** An errno: it cannot be started. */
  refuses(): string | undefined;
  startMs(): number;
  run(child: SimChild): void;
}

export class World {
  readonly seed: number;
  readonly random: Random;
  readonly loop = new Loop();
  readonly ledger = new Ledger();
  /** Every process that was ever started, by its id. */
  readonly children = new Map<number, SimChild>();
  readonly programs = new Map<string, Program>();
  readonly hosts = new Map<string, SimHost>();
  /** Sockets that are open or being opened. */
  readonly sockets = new Set<object>();
  /** What must not be, and is. */
  readonly broken: string[] = [];
  readonly lines: string[] = [];
  readonly #show: boolean;
  nextPid = 100;
  /** When the store began to close. */
  closedAt = Number.POSITIVE_INFINITY;

  constructor(seed: number, show: boolean) {
    this.seed = seed;
    this.random = new Random(seed, 'world');
    this.#show = show;
  }

  trace(text: string): void {
    const line = `${(this.loop.now - 1_000_000).toFixed(3)} ${text}`;
    this.lines.push(line);
    if (this.#show) process.stdout.write(`${line}\n`);
  }

  fail(text: string): void {
    this.broken.push(text);
    this.trace(`BROKEN ${text}`);
  }

  /** Two runs with one hash went the same way. */
  hash(): string {
    return createHash('sha256').update(this.lines.join('\n')).digest('hex').slice(0, 16);
  }
}

/** What the servers executed, by the mark that each call carries in its arguments. */
export class Ledger {
  readonly #runs = new Map<string, number>();

  executed(mark: string): number {
    const times = this.of(mark) + 1;
    this.#runs.set(mark, times);
    return times;
  }

  of(mark: string): number {
    return this.#runs.get(mark) ?? 0;
  }
}
