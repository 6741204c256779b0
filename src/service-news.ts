/** Knows what is told of what happens at a service: events of the store, and lines for its logger. */

import type { Clock } from './_util/clock.js';
import { safeLine } from './_util/terminal-safe.js';
import type { Events, Logger } from './events.js';
import { Noise } from './observe/noise.js';
import type { Service, ServiceEvent } from './service/service.js';

export interface ServiceNewsParts {
  clock: Clock;
  events: Events;
  logger: Logger | undefined;
}

export class ServiceNews {
  readonly #parts: ServiceNewsParts;
  readonly #noise = new Noise();

  constructor(parts: ServiceNewsParts) {
    this.#parts = parts;
  }

  tell(service: Service, event: ServiceEvent): void {
    const { name } = service;
    const { events, logger } = this.#parts;
    switch (event.type) {
      case 'state':
        this.#state(name, event);
        return;
      case 'tools_changed':
        events.emit('toolsChanged', { service: name, tools: service.tools.size ?? 0 });
        return;
      case 'prompts_changed':
        events.emit('promptsChanged', { service: name });
        return;
      case 'resources_changed':
        events.emit('resourcesChanged', { service: name });
        return;
      case 'resource_updated':
        events.emit('resourceUpdated', { service: name, uri: event.uri });
        return;
      case 'log':
        events.emit('log', { service: name, level: event.level, logger: event.logger, data: event.data });
        return;
      case 'output':
        events.emit('output', { service: name, stream: event.stream, text: event.text });
        if (event.stream === 'stdout') this.#noted(name, event.text);
        return;
      case 'tools_skipped':
        logger?.warn({ service: name, count: event.count }, 'unusable tools in the list were left out');
    }
  }

  #state(service: string, { state, endpoint }: Extract<ServiceEvent, { type: 'state' }>): void {
    const { clock, events, logger } = this.#parts;
    const error = 'reason' in state ? state.reason : undefined;
    logger?.[error ? 'warn' : 'debug'](
      { service, endpoint, state: state.name, ...(error && { code: error.code }) },
      'service state',
    );
    events.emit('state', {
      service,
      endpoint,
      status: state.name,
      ...('attempt' in state && { attempt: state.attempt }),
      ...('nextTryAt' in state && { nextTryInMs: Math.max(0, Math.round(state.nextTryAt - clock.now())) }),
      ...(error && { error }),
    });
  }

  #noted(service: string, text: string): void {
    const count = this.#noise.count(service);
    if (count !== undefined)
      this.#parts.logger?.warn(
        { service, count, line: safeLine(text) },
        'what a server writes to stdout is no message',
      );
  }
}
