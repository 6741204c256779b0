/** Knows what an alert's rule may hold: whose health it looks at, when it is true, and how it is told. */

import { SERVICE_STATUSES, type ServiceStatus } from './events.js';
import type { Refuse } from './option-rules.js';
import type { ServiceHealth } from './service-health.js';

export type AlertLevel = 'info' | 'warning' | 'error' | 'critical';

/** Figures of a service's health that a rule can compare. */
export type HealthMetric = 'errorRate' | 'errors' | 'calls' | 'meanMs' | 'p95Ms' | 'connections' | 'uptimeMs';

/** When a rule is true, in a form that a file can hold. */
export type AlertCondition =
  | { status: ServiceStatus | readonly ServiceStatus[] }
  | {
      metric: HealthMetric;
      /** True beyond this; at least one of `above` and `below`. */
      above?: number;
      below?: number;
      /** Only where so many calls settled within the last five minutes. Default 0. */
      minCalls?: number;
    };

export interface AlertRule {
  /** Its own among the rules. */
  name: string;
  /** Asked of every service in turn. In code also a function; one that throws is false. */
  when: AlertCondition | ((health: ServiceHealth) => boolean);
  /** Default `'warning'`. */
  level?: AlertLevel;
  /** What is told; `{service}`, `{errorRate}` and other fields of the health are filled in. Default: made of `when`. */
  message?: string;
  /** While it stays true it is told this often; after it was told, not before. Milliseconds; default 300,000. */
  cooldownMs?: number;
}

export const DEFAULT_COOLDOWN_MS = 300_000;
export const DEFAULT_LEVEL: AlertLevel = 'warning';

/** The rules where none are given. */
export const ALERT_RULES: readonly AlertRule[] = [
  {
    name: 'service-down',
    when: { status: ['failed', 'breaker_open', 'ejected', 'auth_required'] },
    level: 'critical',
    message: '{service} cannot be used: {status}',
  },
  {
    name: 'error-rate',
    when: { metric: 'errorRate', above: 0.1, minCalls: 10 },
    level: 'error',
    message: '{service}: {errors} of {calls} calls failed',
  },
  {
    name: 'slow-response',
    when: { metric: 'meanMs', above: 5_000, minCalls: 10 },
    level: 'warning',
    message: '{service}: calls take {meanMs} ms',
  },
];

const METRICS: Record<HealthMetric, true> = {
  errorRate: true,
  errors: true,
  calls: true,
  meanMs: true,
  p95Ms: true,
  connections: true,
  uptimeMs: true,
};
const LEVELS: readonly AlertLevel[] = ['info', 'warning', 'error', 'critical'];
const RULE_KEYS = ['name', 'when', 'level', 'message', 'cooldownMs'];

/** Throws for the first rule that is none, with its path. */
export function checkRules(value: unknown, path: string, refuse: Refuse): void {
  if (!Array.isArray(value))
    throw refuse(path, 'expected an array of rules, { name, when, level, message, cooldownMs }');
  const names = new Set<unknown>();
  for (const [i, rule] of value.entries()) {
    const at = `${path}.${i}`;
    const fields = fieldsOf(rule, RULE_KEYS, at, refuse);
    const { name, when, level, message, cooldownMs } = fields;
    if (typeof name !== 'string' || name === '') throw refuse(`${at}.name`, 'expected a text that is not empty');
    if (names.has(name)) throw refuse(`${at}.name`, `there is a rule named ${JSON.stringify(name)} already`);
    names.add(name);
    if (typeof when !== 'function') checkCondition(when, `${at}.when`, refuse);
    if (level !== undefined && !LEVELS.includes(level as AlertLevel))
      throw refuse(`${at}.level`, `expected one of ${LEVELS.join(', ')}`);
    if (message !== undefined && typeof message !== 'string') throw refuse(`${at}.message`, 'expected a text');
    if (cooldownMs !== undefined && !(Number.isSafeInteger(cooldownMs) && (cooldownMs as number) >= 0))
      throw refuse(`${at}.cooldownMs`, 'expected a whole number of milliseconds, at least 0');
  }
}

function checkCondition(value: unknown, path: string, refuse: Refuse): void {
  const { status, ...compared } = fieldsOf(value, ['status', 'metric', 'above', 'below', 'minCalls'], path, refuse);
  if (status !== undefined) {
    const all = [status].flat();
    if (all.length === 0 || !all.every((one) => SERVICE_STATUSES.includes(one as ServiceStatus)))
      throw refuse(`${path}.status`, `expected of ${SERVICE_STATUSES.join(', ')} one, or several in an array`);
    const more = Object.keys(compared)[0];
    if (more !== undefined) throw refuse(`${path}.${more}`, 'goes with "metric", not with "status"');
    return;
  }
  const { metric, above, below, minCalls } = compared;
  if (!Object.hasOwn(METRICS, String(metric)))
    throw refuse(`${path}.metric`, `expected one of ${Object.keys(METRICS).join(', ')}, or a "status" in its place`);
  if (above === undefined && below === undefined) throw refuse(path, 'needs "above" or "below"');
  for (const [key, bound] of Object.entries({ above, below, minCalls }))
    if (bound !== undefined && !(typeof bound === 'number' && Number.isFinite(bound)))
      throw refuse(`${path}.${key}`, 'expected a number');
}

function fieldsOf(value: unknown, known: readonly string[], path: string, refuse: Refuse): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse(path, 'expected an object');
  for (const key of Object.keys(value))
    if (!known.includes(key)) throw refuse(`${path}.${key}`, `unknown option; known here: ${known.join(', ')}`);
  return value as Record<string, unknown>;
}

/** Is it true of this service now? Throws what a rule's own function throws. */
export function isTrue({ when }: AlertRule, health: ServiceHealth): boolean {
  if (typeof when === 'function') return when(health) === true;
  if ('status' in when) return [when.status].flat().includes(health.status);
  const { metric, above = Number.POSITIVE_INFINITY, below = Number.NEGATIVE_INFINITY, minCalls = 0 } = when;
  const value = health[metric];
  return health.calls >= minCalls && (value > above || value < below);
}

/** What is told of it. */
export function messageOf({ name, when, message }: AlertRule, health: ServiceHealth): string {
  const text =
    message ??
    (typeof when === 'object' && 'metric' in when
      ? `{service}: ${name}, ${when.metric} is {${when.metric}}`
      : `{service}: ${name}`);
  return text.replaceAll(/\{(\w+)\}/g, (written, key: string) => {
    const value = Object.hasOwn(health, key) ? health[key as keyof ServiceHealth] : written;
    if (typeof value === 'number') return String(Math.round(value * 1_000) / 1_000);
    return typeof value === 'string' ? value : written;
  });
}
