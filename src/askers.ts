/** Knows who may be asked over a connection: the scopes that can use its service, and what they answer. */

import { Answers, type AskHandlers, checkHandlers, HANDLER_KEYS, unionOf } from './asking.js';
import type { Asker } from './call.js';
import type { Asking } from './connection/asked.js';
import type { Logger } from './events.js';

interface Entry {
  handlers: AskHandlers;
  answers: Answers;
  /** Is this service its own, or one that it was given? `undefined`: it cannot use it. */
  uses: (service: string) => 'own' | 'given' | undefined;
}

export class Askers {
  /** By scope; `''` is the store. */
  readonly #scopes = new Map<string, Entry>();
  readonly #logger: Logger | undefined;

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /**
   * A scope with its handlers. Throws `OPTION_INVALID`.
   * @returns whom its calls ask, now
   */
  add(scope: string, handlers: AskHandlers, uses: Entry['uses']): () => Answers {
    checkHandlers(handlers);
    const agent = scope === '' ? undefined : scope;
    const own = handlersIn(handlers);
    const entry = { handlers: own, answers: new Answers(own, agent, this.#logger), uses };
    this.#scopes.set(scope, entry);
    return () => entry.answers;
  }

  /** Replaces what is given; calls under way keep what they began with. Throws `OPTION_INVALID`. */
  change(scope: string, handlers: AskHandlers): void {
    checkHandlers(handlers);
    const given = handlersIn(handlers);
    const entry = this.#scopes.get(scope);
    if (entry === undefined || Object.keys(given).length === 0) return;
    entry.handlers = { ...entry.handlers, ...given };
    entry.answers = new Answers(entry.handlers, scope, this.#logger);
  }

  /**
   * Whom a server may ask over one connection.
   * @param owner - the only scope that uses it; undefined: every scope that can use the service
   */
  of(service: string, owner: string | undefined): Asking {
    const users = (): Entry[] =>
      [...this.#scopes]
        .filter(([id, { uses }]) => (owner === undefined ? uses(service) : id === owner))
        .map(([, of]) => of);
    return {
      service,
      capabilities: () => unionOf(users().map(({ answers }) => answers.capabilities)),
      sole: (): Asker | undefined => {
        const all = users();
        // The store sees its agents' services too; while nobody calls, they are the agents' alone.
        const own = all.length > 1 ? all.filter(({ uses }) => uses(service) === 'own') : all;
        return own.length === 1 ? own[0]!.answers : undefined;
      },
    };
  }
}

function handlersIn(options: AskHandlers): AskHandlers {
  return Object.fromEntries(HANDLER_KEYS.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));
}
