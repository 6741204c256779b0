/** Knows who answers what servers ask their callers: the handlers of a scope or a call, and what they may answer. */

import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import type {
  ClientCapabilities,
  CreateMessageRequestParams,
  CreateMessageResult,
  ElicitRequestFormParams,
  ElicitRequestURLParams,
  ElicitResult,
  Root,
} from '@modelcontextprotocol/client';
import type { Asker, Question } from './call.js';
import { elicitationProblem, schemaProblem, withDefaults } from './elicitation.js';
import { asError, isStoreError, StoreError } from './errors.js';
import type { Logger } from './events.js';

/** Who asks, and until when. */
export interface AskContext {
  /** The agent whose call it is; undefined: the store's own. */
  agent: string | undefined;
  /** As the store names it. */
  service: string;
  /** The server's own name of the tool, or the method; undefined where several calls of this caller may have asked. */
  tool: string | undefined;
  /** Aborts at the call's deadline, at its cancel, and when the server takes its question back. */
  signal: AbortSignal;
}

/** MCP's `sampling/createMessage`: the server wants a model's answer. */
export type SamplingRequest = CreateMessageRequestParams;
export type SamplingResult = CreateMessageResult;
export type SamplingHandler = (
  request: SamplingRequest,
  context: AskContext,
) => SamplingResult | Promise<SamplingResult>;

/** MCP's `elicitation/create` with a form: values of `requestedSchema`. */
export type FormElicitation = ElicitRequestFormParams & { mode: 'form' };
/** MCP's `elicitation/create` with a page to open; `url` is http or https. Never open it unasked. */
export type UrlElicitation = ElicitRequestURLParams & { mode: 'url' };
export type ElicitationResult = ElicitResult;
type Elicit<T> = (request: T, context: AskContext) => ElicitationResult | Promise<ElicitationResult>;
/** One function for both modes, or one for each mode that the program knows. */
export type ElicitationHandler =
  | Elicit<FormElicitation | UrlElicitation>
  | { form?: Elicit<FormElicitation>; url?: Elicit<UrlElicitation> };

/** Folders that a server may work in: absolute paths, or MCP's roots with a `file:` URI. */
export type Roots = readonly (string | Root)[] | ((context: AskContext) => Roots | Promise<Roots>);

/** Handlers that a scope and a single call may have. */
export interface CallHandlers {
  /** Answers `sampling/createMessage`. */
  onSampling?: SamplingHandler | undefined;
  /** Answers `elicitation/create`. What a form's answer leaves out gets the schema's default. */
  onElicitation?: ElicitationHandler | undefined;
}

/** What a scope answers servers. Only what is given is declared to them; all else they ask is refused at once. */
export interface AskHandlers extends CallHandlers {
  /** Answers `roots/list`. */
  roots?: Roots | undefined;
}

export const HANDLER_KEYS = ['onSampling', 'onElicitation', 'roots'] as const;

/** The same one wherever there is none: what is equal need not be declared for each call. */
export const NO_CAPABILITIES: ClientCapabilities = Object.freeze({});

/** Throws `OPTION_INVALID` for a handler that is none. */
export function checkHandlers(handlers: AskHandlers): void {
  const { onSampling, onElicitation, roots } = handlers;
  if (onSampling !== undefined && typeof onSampling !== 'function') throw bad('onSampling', 'a function');
  if (onElicitation !== undefined && typeof onElicitation !== 'function') {
    const { form, url, ...others } = Object(onElicitation) as Record<string, unknown>;
    const some = [form, url].filter((one) => one !== undefined);
    if (Object.keys(others).length > 0 || some.length === 0 || some.some((one) => typeof one !== 'function'))
      throw bad('onElicitation', 'a function, or { form, url } with functions');
  }
  if (roots !== undefined && typeof roots !== 'function' && rootsOf(roots) === undefined)
    throw bad('roots', 'an array of absolute paths or { uri: "file:…", name }, or a function');
}

function bad(path: string, expected: string): StoreError {
  return new StoreError('OPTION_INVALID', `${path}: expected ${expected}`, { figures: { path } });
}

/** The handlers of one caller: all of its calls share one, and a call with handlers of its own has its own. */
export class Answers implements Asker {
  readonly capabilities: ClientCapabilities;
  readonly offers: boolean;
  readonly #handlers: AskHandlers;
  readonly #agent: string | undefined;
  readonly #logger: Logger | undefined;

  constructor(handlers: AskHandlers, agent: string | undefined, logger: Logger | undefined) {
    this.#handlers = handlers;
    this.#agent = agent;
    this.#logger = logger;
    this.capabilities = capabilitiesOf(handlers);
    this.offers = this.capabilities !== NO_CAPABILITIES;
  }

  /** The same caller with some handlers of one call alone. */
  with(own: CallHandlers): Answers {
    const { onSampling = this.#handlers.onSampling, onElicitation = this.#handlers.onElicitation } = own;
    return new Answers({ ...this.#handlers, onSampling, onElicitation }, this.#agent, this.#logger);
  }

  async answer(question: Question): Promise<Record<string, unknown>> {
    const { service, tool, signal } = question;
    const context = { agent: this.#agent, service, tool, signal };
    switch (question.method) {
      case 'sampling/createMessage':
        return this.#sample(question.params, context);
      case 'elicitation/create':
        return this.#elicit(question.params, context);
      case 'roots/list':
        return this.#listRoots(context);
      default:
        throw notOffered();
    }
  }

  async #sample(params: Record<string, unknown>, context: AskContext): Promise<Record<string, unknown>> {
    const { onSampling } = this.#handlers;
    if (onSampling === undefined) throw notOffered();
    if (!Array.isArray(params['messages'])) throw invalid('sampling/createMessage without messages');
    if (params['tools'] !== undefined || params['toolChoice'] !== undefined)
      throw invalid('this client does not offer sampling with tools');
    const request = params as unknown as SamplingRequest;
    const result = await this.#run('onSampling', context, () => onSampling(request, context));
    if (!isObject(result) || result['content'] === undefined || typeof result['model'] !== 'string')
      throw this.#failed('onSampling', context, 'expected { role, content, model }');
    return { ...result, role: result.role ?? 'assistant' };
  }

  async #elicit(params: Record<string, unknown>, context: AskContext): Promise<Record<string, unknown>> {
    const { onElicitation } = this.#handlers;
    if (onElicitation === undefined) throw notOffered();
    const mode = params['mode'] ?? 'form';
    const { form, url } =
      typeof onElicitation === 'function' ? { form: onElicitation, url: onElicitation } : onElicitation;
    if (mode === 'url' && url) {
      const request = { ...params, mode: 'url', url: webPage(params['url']) } as unknown as UrlElicitation;
      const result = await this.#run('onElicitation', context, () => url(request, context));
      return { action: this.#actionOf(result, context) };
    }
    if (mode !== 'form' || !form) throw invalid(`this client does not offer elicitation in the mode ${String(mode)}`);
    const schema = params['requestedSchema'];
    const problem = schemaProblem(schema);
    if (problem !== undefined) throw invalid(problem);
    const request = { ...params, mode: 'form' } as unknown as FormElicitation;
    const result = await this.#run('onElicitation', context, () => form(request, context));
    if (this.#actionOf(result, context) !== 'accept') return { action: result.action };
    const content = withDefaults(schema as Record<string, unknown>, result.content ?? {});
    const wrong = elicitationProblem(schema as Record<string, unknown>, content);
    if (wrong !== undefined) throw this.#failed('onElicitation', context, wrong);
    return { action: 'accept', content };
  }

  #actionOf(result: ElicitationResult, context: AskContext): ElicitationResult['action'] {
    const action: unknown = isObject(result) ? result['action'] : undefined;
    if (action === 'accept' || action === 'decline' || action === 'cancel') return action;
    throw this.#failed('onElicitation', context, 'expected { action: "accept", "decline" or "cancel" }');
  }

  async #listRoots(context: AskContext): Promise<Record<string, unknown>> {
    let { roots } = this.#handlers;
    if (roots === undefined) throw notOffered();
    if (typeof roots === 'function') {
      const list = roots;
      roots = await this.#run('roots', context, () => list(context));
    }
    const found = rootsOf(roots);
    if (found === undefined) throw this.#failed('roots', context, 'expected absolute paths or { uri: "file:…" }');
    return { roots: found };
  }

  async #run<T>(name: string, context: AskContext, fn: () => T | Promise<T>): Promise<T> {
    context.signal.throwIfAborted();
    try {
      return await fn();
    } catch (thrown) {
      if (isStoreError(thrown)) throw thrown;
      throw this.#failed(name, context, asError(thrown).message, thrown);
    }
  }

  /** The program's own mistake: its caller hears of it, the server does not. */
  #failed(name: string, { service, tool, signal }: AskContext, why: string, cause?: unknown): StoreError {
    if (!signal.aborted) this.#logger?.warn({ service, tool, handler: name }, `a handler failed: ${why}`);
    return new StoreError('CANCELLED', `${name} failed: ${why}`, { cause });
  }
}

function capabilitiesOf({ onSampling, onElicitation, roots }: AskHandlers): ClientCapabilities {
  const both = typeof onElicitation === 'function';
  const elicitation = onElicitation && {
    ...((both || onElicitation.form) && { form: {} }),
    ...((both || onElicitation.url) && { url: {} }),
  };
  if (!onSampling && !elicitation && !roots) return NO_CAPABILITIES;
  return Object.freeze({
    ...(onSampling && { sampling: {} }),
    ...(elicitation && { elicitation }),
    ...(roots && { roots: {} }),
  });
}

/** What any of several callers has a handler for. */
export function unionOf(all: readonly ClientCapabilities[]): ClientCapabilities {
  const some = all.filter((one) => one !== NO_CAPABILITIES);
  if (some.length <= 1) return some[0] ?? NO_CAPABILITIES;
  const union = Object.assign({}, ...some) as ClientCapabilities;
  if (union.elicitation) union.elicitation = Object.assign({}, ...some.map((one) => one.elicitation));
  return union;
}

function notOffered(): StoreError {
  return new StoreError('PROTOCOL_ERROR', 'the server asks for input that this client does not offer', {
    rpcCode: -32601,
  });
}

/** The server asks in a way that nobody can answer. */
function invalid(message: string): StoreError {
  return new StoreError('PROTOCOL_ERROR', message, { rpcCode: -32602 });
}

/** The address as it will be opened: a person has to see what that is. */
function webPage(url: unknown): string {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'https:' && parsed?.protocol !== 'http:')
    throw invalid('elicitation/create: only http and https URLs are opened');
  return parsed.href;
}

function rootsOf(given: unknown): Root[] | undefined {
  if (!Array.isArray(given)) return undefined;
  const roots: Root[] = [];
  for (const one of given as unknown[]) {
    if (typeof one === 'string' && isAbsolute(one)) roots.push({ uri: pathToFileURL(one).href });
    else if (isObject(one) && typeof one['uri'] === 'string' && /^file:\/\//i.test(one['uri'])) roots.push(one as Root);
    else return undefined;
  }
  return roots;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
