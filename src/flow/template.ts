/** Knows how data refers to the input and to earlier results: `{ $from: path }`, `{ $join: [...] }`, and conditions. */

import { inspect, isDeepStrictEqual } from 'node:util';
import { nearest } from '../_util/nearest.js';
import { type CallToolResult, textOf } from '../call.js';
import { StoreError } from '../errors.js';
import { asObject, type Refuse, refuseUnknown } from '../option-rules.js';
import type { FlowState } from './steps.js';

/** Deeper data is refused; so is what contains itself. */
const MAX_DEPTH = 100;

/** The error of a flow that is wrong, with the place. */
export const refuseFlow: Refuse = (path, message) =>
  new StoreError('FLOW_INVALID', `${path}: ${message}`, { figures: { path } });

/** A path that leads nowhere, and why. */
class Nowhere {
  constructor(readonly why: string) {}
}

/** One `$from`: keys from `input`, or from `results` and a step. */
export class Reference {
  readonly keys: readonly string[];
  /** Where it stands, for errors. */
  readonly #at: string;

  constructor(from: unknown, at: string) {
    const keys = typeof from === 'string' ? from.split('.') : from;
    const isPath =
      Array.isArray(keys) &&
      keys.length > 0 &&
      keys.every((key) => (typeof key === 'string' && key !== '') || Number.isSafeInteger(key));
    if (!isPath) throw refuseFlow(at, 'expected a path, such as "input.id" or "results.step.text", or its keys');
    this.keys = keys.map(String);
    this.#at = at;
    const root = this.keys[0]!;
    if (root !== 'input' && !(root === 'results' && this.keys.length > 1))
      throw refuseFlow(at, `"${this}": a path begins with "input" or with "results." and the name of a step`);
  }

  /** The step that it refers to. */
  get step(): string | undefined {
    return this.keys[0] === 'results' ? this.keys[1] : undefined;
  }

  toString(): string {
    return this.keys.join('.');
  }

  /** @throws StoreError `FLOW_INVALID` where there is nothing */
  value(state: FlowState): unknown {
    const found = this.find(state);
    if (!(found instanceof Nowhere)) return found;
    throw new StoreError('FLOW_INVALID', `${this.#at}: nothing at ${this}: ${found.why}`, {
      figures: { path: this.#at, from: String(this) },
    });
  }

  find(state: FlowState): unknown {
    const { step } = this;
    let at: unknown = state.input;
    if (step !== undefined) {
      if (!Object.hasOwn(state.results, step)) return new Nowhere(`the step ${step} was skipped`);
      at = state.results[step];
    }
    for (let i = step === undefined ? 1 : 2; i < this.keys.length; i++) {
      const key = this.keys[i]!;
      const next = step !== undefined && i === 2 ? ownOrText(at, key) : own(at, key);
      if (next instanceof Nowhere) return next;
      at = next;
    }
    // What JSON cannot say is not there.
    return at === undefined ? new Nowhere('it is undefined') : at;
  }
}

/** Own keys of objects and arrays alone: nothing of a prototype. */
function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null)
    return new Nowhere(`"${key}" of ${value === null ? 'null' : `a ${typeof value}`}`);
  if (Object.hasOwn(value, key)) return (value as Record<string, unknown>)[key];
  if (Array.isArray(value)) return new Nowhere(`no "${key}" in an array of ${value.length}`);
  const near = nearest(key, Object.keys(value));
  return new Nowhere(`no "${key}"${near.length > 0 ? `; nearest: ${near.join(', ')}` : ''}`);
}

/** The same for a step's result, which also has `text` and `json`. */
function ownOrText(value: unknown, key: string): unknown {
  const result = value as Partial<CallToolResult> | null;
  const isResult = typeof value === 'object' && value !== null && Array.isArray(result?.content);
  if (!isResult || (key !== 'text' && key !== 'json') || Object.hasOwn(value, key)) return own(value, key);
  const text = textOf(value as CallToolResult);
  if (key === 'text') return text;
  try {
    return JSON.parse(text);
  } catch {
    return new Nowhere('its text is no JSON');
  }
}

/** A text made of pieces. */
class Joined {
  constructor(readonly parts: readonly (string | Reference)[]) {}

  text(state: FlowState): string {
    return this.parts
      .map((part) => {
        const value = part instanceof Reference ? part.value(state) : part;
        return typeof value === 'string' ? value : JSON.stringify(value);
      })
      .join('');
  }
}

/**
 * A copy of plain data; anything else in it, such as a Date, is the caller's own.
 * @param instead - what stands in for an object; undefined: its copy
 * @throws StoreError `FLOW_INVALID`
 */
export function copied(
  value: unknown,
  path: string,
  instead: (plain: object, path: string) => unknown = () => undefined,
  depth = 0,
): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) throw refuseFlow(path, `nested deeper than ${MAX_DEPTH}, or contains itself`);
  const below = (key: string | number, item: unknown): unknown => copied(item, `${path}.${key}`, instead, depth + 1);
  if (Array.isArray(value)) return value.map((item, i) => below(i, item));
  if (!isPlain(value)) return value;
  return instead(value, path) ?? record(Object.entries(value).map(([key, item]) => [key, below(key, item)]));
}

/** Data with its references found; a copy, so that whoever gave it may change his own. */
export class Template {
  readonly references: Reference[] = [];
  readonly #root: unknown;

  constructor(value: unknown, path: string) {
    this.#root = copied(value, path, (plain, at) => this.#referring(plain, at));
  }

  /** The data of one run, nothing of which another run shares but the values that it refers to. */
  fill(state: FlowState): unknown {
    return filled(this.#root, state);
  }

  #referring(plain: object, path: string): Reference | Joined | undefined {
    const entries = Object.entries(plain);
    const [key, only] = entries.length === 1 ? entries[0]! : [];
    if (key === '$from') return this.#refer(only, `${path}.$from`);
    if (key === '$join') return this.#join(only, `${path}.$join`);
    return undefined;
  }

  #refer(from: unknown, path: string): Reference {
    const reference = new Reference(from, path);
    this.references.push(reference);
    return reference;
  }

  #join(parts: unknown, path: string): Joined {
    if (!Array.isArray(parts)) throw refuseFlow(path, 'expected an array of texts and { $from }');
    return new Joined(
      parts.map((part, i) => {
        if (typeof part === 'string') return part;
        const at = `${path}.${i}`;
        const object = asObject(part, at, refuseFlow);
        refuseUnknown(object, ['$from'], at, refuseFlow);
        return this.#refer(object['$from'], `${at}.$from`);
      }),
    );
  }
}

function filled(node: unknown, state: FlowState): unknown {
  if (node instanceof Reference) return node.value(state);
  if (node instanceof Joined) return node.text(state);
  if (Array.isArray(node)) return node.map((item) => filled(item, state));
  if (typeof node !== 'object' || node === null || !isPlain(node)) return node;
  return record(Object.entries(node).map(([key, item]) => [key, filled(item, state)]));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** `__proto__` becomes a key like any other. */
function record(entries: [string, unknown][]): Record<string, unknown> {
  return Object.fromEntries(entries);
}

/** A condition as data. */
export class Comparison {
  readonly reference: Reference;
  readonly #holds: (found: unknown) => boolean;
  readonly #text: string;

  constructor(value: unknown, path: string) {
    const { $from, ...rest } = asObject(value, path, refuseFlow);
    refuseUnknown(rest, ['equals', 'notEquals', 'exists'], path, refuseFlow);
    this.reference = new Reference($from, `${path}.$from`);
    const [operator, wanted] = Object.entries(rest)[0] ?? [];
    if (operator === undefined || Object.keys(rest).length > 1)
      throw refuseFlow(path, 'expected { $from } with one of "equals", "notEquals" and "exists"');
    if (operator === 'exists' && typeof wanted !== 'boolean') throw refuseFlow(`${path}.exists`, 'expected a boolean');
    this.#holds = (found) => {
      const exists = !(found instanceof Nowhere);
      if (operator === 'exists') return exists === wanted;
      return (exists && isDeepStrictEqual(found, wanted)) === (operator === 'equals');
    };
    this.#text = `${this.reference} ${operator} ${shown(wanted)}`;
  }

  holds(state: FlowState): boolean {
    return this.#holds(this.reference.find(state));
  }

  toString(): string {
    return this.#text;
  }
}

/** As JSON, or as Node shows it where JSON has no way to say it. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'undefined';
  } catch {
    return inspect(value, { breakLength: Number.POSITIVE_INFINITY });
  }
}
