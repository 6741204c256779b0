/** Knows objects that are lent, taken back and lent again: how many there may be, and who has which. Of no use to the store itself. */

import { badOption } from './call-options.js';
import { StoreError } from './errors.js';
import { asObject, refuseUnknown } from './option-rules.js';

export interface ObjectPoolOptions<T extends object> {
  /** Objects that there may be, lent and kept together. A whole number from 1 on; default 100. */
  maxSize?: number;
  /**
   * Empties an object when it comes back, so that the pool keeps nothing of its last use alive. Where it throws, the
   * object is dropped. Default: nothing is emptied.
   */
  reset?: (object: T) => void;
}

export interface ObjectPoolStats {
  /** Objects that wait to be lent. */
  size: number;
  /** Objects that are lent. */
  active: number;
  maxSize: number;
  /** Objects made since the pool began. */
  created: number;
  /** How often an object was lent again. */
  reused: number;
  /** `reused` ÷ (`created` + `reused`), from 0 to 1; 0 while nothing was lent. */
  reuseRate: number;
}

/**
 * Lends objects that cost more to make than to empty. `npm run bench -- --only object-pool` shows where that is so: for a
 * 64 KB buffer, and not for a small object.
 */
export class ObjectPool<T extends object> {
  readonly #create: () => T;
  readonly #reset: ((object: T) => void) | undefined;
  readonly #maxSize: number;
  /** The last to come back goes first: it is the likeliest to be in the processor's cache. */
  readonly #free: T[] = [];
  readonly #lent = new Set<T>();
  #created = 0;
  #reused = 0;

  /**
   * @param create - makes a new object each time, not a promise of one
   * @throws StoreError `OPTION_INVALID`
   */
  constructor(create: () => T, options: ObjectPoolOptions<T> = {}) {
    if (typeof create !== 'function') throw badOption('create', 'a function');
    refuseUnknown(asObject(options, 'options'), ['maxSize', 'reset'], '');
    const { maxSize = 100, reset } = options;
    if (!(Number.isSafeInteger(maxSize) && maxSize >= 1)) throw badOption('maxSize', 'a whole number from 1 on');
    if (reset !== undefined && typeof reset !== 'function') throw badOption('reset', 'a function');
    this.#create = create;
    this.#reset = reset;
    this.#maxSize = maxSize;
  }

  /**
   * Lends an object. Never waits: who has to wait for an object waits for somebody who may have forgotten to give it back.
   * @throws StoreError `LIMIT_EXCEEDED` where `maxSize` objects are lent; whatever `create` throws
   */
  acquire(): T {
    const free = this.#free.pop();
    if (free !== undefined) {
      this.#lent.add(free);
      this.#reused++;
      return free;
    }
    if (this.#lent.size >= this.#maxSize)
      throw new StoreError('LIMIT_EXCEEDED', `all ${this.#maxSize} objects of the pool are in use`, {
        figures: { active: this.#lent.size, maxSize: this.#maxSize },
        hint: 'Release objects when you are done with them, as use() does, or raise maxSize.',
      });
    const made = this.#create();
    if (typeof made !== 'object' || made === null || this.#lent.has(made))
      throw badOption('create', 'a function that makes a new object each time');
    this.#lent.add(made);
    this.#created++;
    return made;
  }

  /**
   * Takes an object back and empties it.
   * @throws StoreError `OPTION_INVALID` for an object that is not lent: one that was released before, or another's
   */
  release(object: T): void {
    if (!this.#lent.delete(object)) throw badOption('object', 'one that this pool has lent and that is not back yet');
    this.#reset?.(object);
    // While it was being emptied, another may have been made in its place.
    if (this.#lent.size + this.#free.length < this.#maxSize) this.#free.push(object);
  }

  /** Lends an object to `fn` until it has returned, or its promise has settled, and takes it back whatever happens. */
  use<R>(fn: (object: T) => Promise<R>): Promise<R>;
  use<R>(fn: (object: T) => R): R;
  use<R>(fn: (object: T) => R | Promise<R>): R | Promise<R> {
    if (typeof fn !== 'function') throw badOption('fn', 'a function');
    const object = this.acquire();
    let result: R | Promise<R>;
    try {
      result = fn(object);
    } catch (error) {
      this.release(object);
      throw error;
    }
    // Whatever can be waited for: also a promise of another library.
    if (typeof (result as Promise<R> | undefined)?.then === 'function')
      return Promise.resolve(result).finally(() => this.release(object));
    this.release(object);
    return result;
  }

  get stats(): ObjectPoolStats {
    const [created, reused] = [this.#created, this.#reused];
    return {
      size: this.#free.length,
      active: this.#lent.size,
      maxSize: this.#maxSize,
      created,
      reused,
      reuseRate: created + reused === 0 ? 0 : reused / (created + reused),
    };
  }

  /** Drops the objects that wait; returns how many. Those that are lent come back as before. */
  clear(): number {
    return this.#free.splice(0).length;
  }
}
