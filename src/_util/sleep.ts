/** Knows how to wait for a time: on the store's clock, for as long as somebody waits, and no longer than a signal allows. */

import { onAbort } from './abort.js';
import type { Clock, Timer } from './clock.js';

/** Settles after `ms`; rejects with the reason of `signal` where that aborts before. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const end = clock.now() + ms;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let timer: Timer;
    const off = onAbort(signal, () => {
      timer.cancel();
      reject(signal.reason);
    });
    // A timer may be cut or come early; see `Clock.after`.
    const arm = (): void => {
      const left = end - clock.now();
      if (left > 0) timer = clock.after(left, arm, true);
      else {
        off();
        resolve();
      }
    };
    timer = clock.after(Math.max(0, ms), arm, true);
  });
}
