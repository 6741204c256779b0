/** Knows all the services of a store by their global names, and what they share. */

import { StoreError } from '../errors.js';
import { Service, type ServiceParts, type ServiceSpec } from './service.js';

export class Services {
  readonly #parts: ServiceParts;
  readonly #byName = new Map<string, Service>();
  /** What is being closed after it was removed; `close` waits for it. */
  readonly #leaving = new Map<Service, Promise<void>>();
  /** Changes when services come or go. */
  version = 0;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  get(name: string): Service | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<Service> {
    return this.#byName.values();
  }

  get size(): number {
    return this.#byName.size;
  }

  add(spec: ServiceSpec): Service {
    if (this.#byName.has(spec.name))
      throw new StoreError('SERVICE_EXISTS', `there is a service named ${spec.name} already`, {
        service: spec.name,
        hint: 'updateService replaces it; deleteService removes it.',
      });
    const service = new Service(spec, this.#parts);
    this.#byName.set(spec.name, service);
    this.version++;
    return service;
  }

  /**
   * Puts a new definition in the place of the old; calls in flight on the old one finish within `drainMs`. Where nothing
   * that runs is another one, it goes on running.
   */
  replace(spec: ServiceSpec, drainMs: number): Service {
    const old = this.#byName.get(spec.name);
    if (old?.adopt(spec)) return old;
    const service = new Service(spec, this.#parts);
    // Map.set keeps the place of a key, so the order of lists stays.
    this.#byName.set(spec.name, service);
    this.version++;
    if (old) this.#leave(old, drainMs);
    return service;
  }

  remove(name: string, drainMs: number): Promise<void> {
    const service = this.#byName.get(name);
    if (service === undefined) return Promise.resolve();
    this.#byName.delete(name);
    this.version++;
    return this.#leave(service, drainMs);
  }

  /** Closes all in parallel, also what was removed before and still drains. */
  async close(drainMs: number): Promise<void> {
    const all = [...this.#byName.values(), ...this.#leaving.keys()];
    await Promise.all([...all.map((service) => service.close(drainMs)), ...this.#leaving.values()]);
  }

  #leave(service: Service, drainMs: number): Promise<void> {
    const leaving = service.close(drainMs).finally(() => this.#leaving.delete(service));
    this.#leaving.set(service, leaving);
    return leaving;
  }
}
