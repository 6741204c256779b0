/** Knows each agent's view of the store: its own services under their local names, and those that it was given. */

import type { ConfigDocument } from './config/definition.js';
import { agentService } from './config/names.js';
import { bad } from './open-options.js';
import { refuseUnknown } from './option-rules.js';
import { checkAgentId } from './registry.js';
import type { Scope, ScopeParts } from './scope.js';
import { unknownService } from './scope-names.js';
import type { Service } from './service/service.js';
import type { Services } from './service/services.js';

/** What of a scope is different for each agent. */
export type AgentParts = Pick<ScopeParts, 'id' | 'visible' | 'find' | 'own'>;

interface View {
  scope: Scope;
  /** What code gave it, by global names; as long as code said nothing, the file does. */
  given: readonly string[] | undefined;
  /** What it sees of the store. */
  granted: ReadonlySet<string>;
}

export class Agents {
  readonly #services: Services;
  readonly #scope: (parts: AgentParts) => Scope;
  readonly #views = new Map<string, View>();
  #document: ConfigDocument | undefined;

  constructor(services: Services, scope: (parts: AgentParts) => Scope) {
    this.#services = services;
    this.#scope = scope;
  }

  /** See `MCPStore.forAgent`. */
  of(id: string, options: { services?: readonly string[] }): Scope {
    refuseUnknown(options, ['services'], '');
    checkAgentId(id);
    const { services = [] } = options;
    if (!Array.isArray(services)) throw bad('services', 'an array of names of services');
    for (const [i, name] of services.entries())
      if (typeof name !== 'string') throw bad(`services.${i}`, 'the name of a service');
      else if (this.#services.get(name) === undefined)
        throw unknownService(
          name,
          [...this.#services.values()].map((service) => service.name),
        );
    let view = this.#views.get(id);
    if (view === undefined) {
      view = { scope: this.#view(id), given: undefined, granted: new Set() };
      this.#views.set(id, view);
    }
    if (options.services) view.given = [...options.services];
    this.#grant(id, view);
    return view.scope;
  }

  /** What the file gives its agents from now on. */
  take(document: ConfigDocument): void {
    this.#document = document;
    for (const [id, view] of this.#views) this.#grant(id, view);
  }

  forget(service: Service): void {
    for (const { scope } of this.#views.values()) scope.forget(service);
  }

  #view(id: string): Scope {
    const services = this.#services;
    const own = (local: string): Service | undefined => {
      const service = services.get(agentService(id, local));
      // A dot in a name makes nobody an owner: only whoever added the service is.
      return service?.owner?.agent === id ? service : undefined;
    };
    const granted = (name: string): boolean => this.#views.get(id)?.granted.has(name) ?? false;
    return this.#scope({
      id,
      own,
      find: (local) => own(local) ?? (granted(local) ? services.get(local) : undefined),
      visible: function* () {
        for (const service of services.values()) {
          const { name, owner } = service;
          if (owner?.agent === id) yield [owner.local, service];
          else if (granted(name) && !own(name)) yield [name, service];
        }
      },
    });
  }

  #grant(id: string, view: View): void {
    const before = view.granted;
    view.granted = new Set(view.given ?? this.#document?.agents.get(id)?.services);
    // Names that it knows may stand for what it sees no more, or be hidden by what it sees now.
    if (before.size === view.granted.size && [...before].every((name) => view.granted.has(name))) return;
    for (const service of this.#services.values()) view.scope.forget(service);
  }
}
