/** Knows how to hear one AbortSignal many times at the price of a single listener on it, and of none when nobody listens. */

interface Heard {
  readonly calls: Set<() => void>;
  readonly listener: () => void;
}

const heard = new WeakMap<AbortSignal, Heard>();

/**
 * Runs `fn` when `signal` aborts; the returned function takes it back in O(1). A long-lived signal shared by many calls
 * keeps one event listener, where a listener for each call would make every removal walk the list; it goes with the
 * last call.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  const { calls, listener } = heard.get(signal) ?? listen(signal);
  calls.add(fn);
  return () => {
    if (!calls.delete(fn) || calls.size > 0 || heard.get(signal)?.calls !== calls) return;
    heard.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

/** `promise`, or the reason of `signal` where that comes first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
    promise.then(resolve, reject).finally(off);
  });
}

function listen(signal: AbortSignal): Heard {
  const calls = new Set<() => void>();
  const listener = (): void => {
    heard.delete(signal);
    for (const run of calls) run();
  };
  const entry = { calls, listener };
  heard.set(signal, entry);
  signal.addEventListener('abort', listener, { once: true });
  return entry;
}
