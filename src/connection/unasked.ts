/** Knows how much a server may say unasked: a budget, what is kept of the rest, and when there is no end to it. */

import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import type { Clock, Timer } from '../_util/clock.js';
import type { Channel } from './channel.js';
import { handOn } from './messages.js';

/** So many messages at a time, and so many a second for long: more than any server has to say, and cheap for us. */
const BURST = 2_000;
const PER_SECOND = 1_000;
/** Of what is over the budget the last one of each kind is handed on after so long. Milliseconds. */
const KEEP_MS = 250;
/** Kinds that are kept. Those of more resources than this are lost in a flood. */
const KINDS = 100;
/** A server that is over the budget for so long is started anew. Milliseconds. */
const PATIENCE_MS = 10_000;
/** Under the budget for so long is an end of the flood. Milliseconds. */
const CALM_MS = 1_000;

interface Unasked {
  method?: unknown;
  params?: unknown;
}

/**
 * Counts what one server sends that is no answer to us: notifications, requests of its own, answers to nobody.
 * A notification over the budget takes the place of the one of its kind that waits (a level of a logger, a resource),
 * so the last word always arrives.
 */
export class UnaskedBudget {
  readonly #clock: Clock;
  readonly #channel: Pick<Channel, 'onmessage' | 'onerror' | 'onretire'>;
  readonly #kept = new Map<string, Unasked>();
  #tokens = BURST;
  #at: number;
  /** Since when it has been over the budget, and when it was so last. */
  #since = Number.NEGATIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #over = false;
  /** Messages that were left out. */
  dropped = 0;

  /** @param channel - takes what was kept, later, and is retired once it has been over the budget for 10 s */
  constructor(clock: Clock, channel: Pick<Channel, 'onmessage' | 'onerror' | 'onretire'>) {
    this.#clock = clock;
    this.#channel = channel;
    this.#at = clock.now();
  }

  /** May it go on now? A notification that may not is kept, or takes the place of the one that was; others are lost. */
  take(message: Unasked, notification: boolean): boolean {
    if (this.count()) {
      if (this.#kept.size > 0) this.#kept.delete(kindOf(message));
      return true;
    }
    if (!notification) return false;
    const kind = kindOf(message);
    if (this.#kept.delete(kind) || this.#kept.size < KINDS) this.#kept.set(kind, message);
    this.#timer ??= this.#clock.after(KEEP_MS, () => this.#handOn());
    return false;
  }

  /** Counts one message; false where it is over the budget. */
  count(): boolean {
    const now = this.#clock.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#at) * PER_SECOND) / 1_000);
    this.#at = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return true;
    }
    this.dropped++;
    if (now - this.#last > CALM_MS) this.#since = now;
    this.#last = now;
    if (now - this.#since >= PATIENCE_MS && !this.#over) {
      this.#over = true;
      this.#channel.onretire?.(
        new Error(
          `the server said more than ${PER_SECOND} things a second unasked for ${PATIENCE_MS / 1_000} s` +
            ` (${this.dropped} were left out)`,
        ),
      );
    }
    return false;
  }

  close(): void {
    this.#timer?.cancel();
    this.#kept.clear();
  }

  #handOn(): void {
    this.#timer = undefined;
    const kept = [...this.#kept.values()];
    this.#kept.clear();
    this.dropped -= kept.length;
    for (const message of kept) handOn(message as JSONRPCMessage, this.#channel);
  }
}

function kindOf({ method, params }: Unasked): string {
  const of = (typeof params === 'object' && params !== null ? params : {}) as Record<string, unknown>;
  const parts = [method, of['uri'], of['level'], of['logger']];
  return JSON.stringify(parts.map((part) => (typeof part === 'string' ? part.slice(0, 200) : '')));
}
