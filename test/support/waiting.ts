/** Waits for what a test expects, on the real clock: a condition, a failure, the end of something that is timed. */

import { expect } from 'vitest';
import type { StoreError } from '../../src/index.js';

/** Waits until `check` holds and gives its value. */
export async function until<T>(
  check: () => T | Promise<T>,
  what = 'condition',
  withinMs = 10_000,
): Promise<Exclude<T, undefined | null | false>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value) return value as Exclude<T, undefined | null | false>;
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What a promise rejects with, which must be a StoreError. */
export async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error = await promise.then(
    (value) => Promise.reject(new Error(`it did not fail but gave ${JSON.stringify(value)?.slice(0, 200)}`)),
    (thrown: StoreError) => thrown,
  );
  expect(error.name, String(error.stack)).toBe('StoreError');
  return error;
}

/** A duration of `fn`, in milliseconds. */
export async function timed<T>(fn: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const since = performance.now();
  const value = await fn();
  return { ms: performance.now() - since, value };
}
