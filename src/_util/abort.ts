/** Knows how to hear one AbortSignal many times at the price of a single listener on it. */

const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Runs `fn` when `signal` aborts; the returned function takes it back in O(1). A long-lived signal shared by many calls
 * keeps one event listener, where a listener for each call would make every removal walk the list.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  let set = listeners.get(signal);
  if (set === undefined) {
    const fresh = new Set<() => void>();
    set = fresh;
    listeners.set(signal, fresh);
    signal.addEventListener(
      'abort',
      () => {
        listeners.delete(signal);
        for (const run of [...fresh]) run();
      },
      { once: true },
    );
  }
  set.add(fn);
  return () => set.delete(fn);
}
