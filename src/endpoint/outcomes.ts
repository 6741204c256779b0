/** Knows which call finds out whether its endpoint works again, and tells the machine what the end of each call says. */

import type { WaitLimits } from '../_util/wait-queue.js';
import type { Lifecycle } from './lifecycle.js';
import { asStoreError, verdictOf } from './refusal.js';

export class Outcomes {
  readonly #life: Lifecycle;
  readonly #mayEject: (() => boolean) | undefined;
  readonly #connected: () => boolean;
  /** The wait or call that probes. */
  #probe: WaitLimits | undefined;

  /**
   * @param mayEject - undefined: it has no siblings
   * @param connected - is there a connection that any call may use?
   */
  constructor(life: Lifecycle, mayEject: (() => boolean) | undefined, connected: () => boolean) {
    this.#life = life;
    this.#mayEject = mayEject;
    this.#connected = connected;
  }

  /** Where the endpoint waits to be probed, this call does it. `connected`: there is a connection for it. */
  begin(call: WaitLimits, connected: boolean): void {
    const { state } = this.#life;
    if (state.name !== 'probing' || state.busy) return;
    this.#probe = call;
    this.#life.send({ type: 'probe', connected });
  }

  /**
   * A request that was sent at `sentAt` is over. A list that succeeds (`asked: 'list'`) does not show that calls do: a
   * tool may crash its server each time. True: a call was answered.
   * @param own - it had a connection of its own
   */
  over(call: WaitLimits, asked: 'call' | 'list', sentAt: number, error: unknown, own = false): boolean {
    const verdict = error === undefined ? 'answered' : verdictOf(error);
    const answered = verdict === 'answered' && asked === 'call';
    this.leave(call);
    if (verdict === 'failed') this.#failed(error, sentAt);
    else if (answered && (own || this.#life.troubled)) {
      const connected = own || this.#connected();
      this.#life.send({ type: 'call_ok', own, connected });
    }
    return answered;
  }

  /** It probes no more; another may. */
  leave(call: WaitLimits): void {
    if (this.#probe !== call) return;
    this.#probe = undefined;
    this.#life.send({ type: 'probe_over' });
  }

  #failed(thrown: unknown, sentAt: number): void {
    const error = asStoreError(thrown);
    const mayEject = this.#mayEject;
    // Where there is nowhere else to go, a refused connect is tried again by the next call: a server that restarts is
    // back at once. Only what was sent counts for the breaker.
    if (mayEject === undefined && error.executed === 'no') return;
    const leadsTo = mayEject === undefined ? 'breaker_open' : mayEject() ? 'ejected' : 'degraded';
    this.#life.send({ type: 'call_failed', error, sentAt, leadsTo });
  }
}
