/** Knows which call finds out whether its endpoint works again, and tells the machine what the end of each call says. */

import type { WaitLimits } from '../_util/wait-queue.js';
import type { Lifecycle } from './lifecycle.js';
import { asStoreError, verdictOf } from './refusal.js';

export class Outcomes {
  readonly #life: Lifecycle;
  readonly #mayEject: (() => boolean) | undefined;
  /** The wait or call that probes. */
  #probe: WaitLimits | undefined;

  /** @param mayEject - undefined: it has no siblings */
  constructor(life: Lifecycle, mayEject: (() => boolean) | undefined) {
    this.#life = life;
    this.#mayEject = mayEject;
  }

  /** Where the endpoint is to be probed, this call does it. `connected`: there is a connection for it. */
  begin(call: WaitLimits, connected: boolean): void {
    if (this.#life.state.name !== 'probing') return;
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
    if (verdict === 'failed') this.#failed(error, sentAt);
    else if (answered && (own || this.#life.troubled)) this.#life.send({ type: 'call_ok', own });
    this.leave(call);
    return answered;
  }

  /** It ended without a verdict; another may probe. */
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
