/** Knows which rules are true of which services, tells when that begins and ends, and remembers what was told. */

import type { Clock } from '../_util/clock.js';
import {
  type AlertLevel,
  type AlertRule,
  DEFAULT_COOLDOWN_MS,
  DEFAULT_LEVEL,
  isTrue,
  messageOf,
} from '../alert-rules.js';
import { asError } from '../errors.js';
import type { Logger } from '../events.js';
import { asObject, refuseOption, refuseUnknown } from '../option-rules.js';
import type { ServiceHealth } from '../service-health.js';
import { Webhook, type WebhookOptions } from './webhook.js';

/** What was told that are remembered. */
const MAX_HISTORY = 500;

/** A rule became true of a service, still is, or is no longer. Times in milliseconds since the epoch. */
export interface Alert {
  rule: string;
  service: string;
  level: AlertLevel;
  state: 'firing' | 'resolved';
  message: string;
  /** When it was found to be true. */
  since: number;
  /** When this was told. */
  at: number;
  /** The service as it stood then. */
  health: ServiceHealth;
}

export interface AlertsParts {
  clock: Clock;
  logger: Logger | undefined;
  /** The `alert` event. */
  emit: (alert: Alert) => void;
}

/** One rule that is true of one service. */
interface Open {
  rule: AlertRule;
  since: number;
  /** As last told; undefined where it came within the cool-down. */
  told: Alert | undefined;
  health: ServiceHealth;
}

const LOG = { info: 'info', warning: 'warn', error: 'error', critical: 'error' } as const;

export class Alerts {
  readonly #parts: AlertsParts;
  readonly #webhooks = new Set<Webhook>();
  /** By service and rule. */
  readonly #open = new Map<string, Open>();
  /** When each may be told again; monotonic. */
  readonly #quietUntil = new Map<string, number>();
  #history: Alert[] = [];
  /** Rules whose function threw. */
  readonly #broken = new Set<AlertRule>();

  /** @internal */
  constructor(parts: AlertsParts) {
    this.#parts = parts;
  }

  /** Those that are true now and were told, as they were told last. */
  get active(): Alert[] {
    return [...this.#open.values()].map(({ told }) => told).filter((told) => told !== undefined);
  }

  /** What was told of late, at most 500, the newest first. */
  get history(): Alert[] {
    return [...this.#history].reverse();
  }

  /**
   * Posts every alert from now on to an address, as JSON. What fails is tried four times more, after 1, 2, 4 and 8
   * seconds; redirects are not followed. The returned function ends that.
   * @throws StoreError `OPTION_INVALID` for what is no http or https URL
   */
  webhook(url: string | URL, options: WebhookOptions = {}): () => void {
    refuseUnknown(asObject(options, 'options'), ['headers', 'timeoutMs'], '');
    const parsed = URL.canParse(String(url)) ? new URL(url) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.password !== '')
      throw refuseOption('url', 'expected an http or https URL without a user; credentials go into headers');
    const { headers = {}, timeoutMs = 5_000 } = options;
    for (const [name, value] of Object.entries(asObject(headers, 'headers')))
      if (typeof value !== 'string') throw refuseOption(`headers.${name}`, 'expected a string');
    try {
      new Headers(headers);
    } catch {
      // What it says has the value in it.
      throw refuseOption('headers', 'expected names and values that HTTP can carry');
    }
    if (!(Number.isSafeInteger(timeoutMs) && timeoutMs > 0))
      throw refuseOption('timeoutMs', 'expected a whole number of milliseconds, at least 1');
    const { clock, logger } = this.#parts;
    const webhook = new Webhook({ url: parsed, headers, timeoutMs, clock, logger });
    this.#webhooks.add(webhook);
    return () => {
      this.#webhooks.delete(webhook);
      webhook.close();
    };
  }

  /** @internal Is any rule true? */
  get any(): boolean {
    return this.#open.size > 0;
  }

  /** @internal Asks every rule of every service. */
  evaluate(rules: readonly AlertRule[], services: readonly ServiceHealth[]): void {
    const seen = new Set<string>();
    for (const health of services)
      for (const rule of rules) {
        if (!this.#holds(rule, health)) continue;
        const key = `${rule.name}\n${health.service}`;
        seen.add(key);
        this.#found(key, rule, health);
      }
    const now = new Map(services.map((health) => [health.service, health]));
    for (const [key, open] of this.#open) if (!seen.has(key)) this.#over(key, open, now.get(open.health.service));
    for (const [key, until] of this.#quietUntil)
      if (until <= this.#parts.clock.now() && !this.#open.has(key)) this.#quietUntil.delete(key);
  }

  /** @internal Nobody looks any more: what is true is forgotten, and told to nobody. */
  forget(): void {
    this.#open.clear();
    this.#quietUntil.clear();
  }

  /** @internal */
  close(): void {
    this.forget();
    for (const webhook of this.#webhooks) webhook.close();
  }

  #holds(rule: AlertRule, health: ServiceHealth): boolean {
    try {
      return isTrue(rule, health);
    } catch (error) {
      if (!this.#broken.has(rule))
        this.#parts.logger?.error({ rule: rule.name, error: asError(error).message }, 'the rule of an alert failed');
      this.#broken.add(rule);
      return false;
    }
  }

  #found(key: string, rule: AlertRule, health: ServiceHealth): void {
    const { clock } = this.#parts;
    const open: Open = this.#open.get(key) ?? { rule, since: clock.wall(), told: undefined, health };
    Object.assign(open, { rule, health });
    this.#open.set(key, open);
    if (clock.now() < (this.#quietUntil.get(key) ?? Number.NEGATIVE_INFINITY)) return;
    this.#quietUntil.set(key, clock.now() + (rule.cooldownMs ?? DEFAULT_COOLDOWN_MS));
    open.told = this.#tell(open, 'firing', messageOf(rule, health));
  }

  /** @param health - undefined: the service is gone */
  #over(key: string, open: Open, health: ServiceHealth | undefined): void {
    this.#open.delete(key);
    if (open.told === undefined) return;
    open.health = health ?? open.health;
    this.#tell(open, 'resolved', `${open.told.message} (${health ? 'no longer' : 'the service is gone'})`);
  }

  #tell({ rule, since, health }: Open, state: Alert['state'], message: string): Alert {
    const { clock, logger, emit } = this.#parts;
    const { name, level = DEFAULT_LEVEL } = rule;
    const alert: Alert = {
      rule: name,
      service: health.service,
      level,
      state,
      message,
      since,
      at: clock.wall(),
      health,
    };
    this.#history = [...this.#history.slice(1 - MAX_HISTORY), alert];
    const how = state === 'firing' ? LOG[level] : 'info';
    logger?.[how]({ rule: name, service: health.service, level, state }, message);
    for (const webhook of this.#webhooks) webhook.send(alert);
    emit(alert);
    return alert;
  }
}
