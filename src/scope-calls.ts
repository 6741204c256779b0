/** Knows how a scope's calls begin: a name becomes a tool, arguments and options become one call on its service's path. */

import {
  type Call,
  type CallRecord,
  type CallResult,
  type CallToolResult,
  fallbackOf,
  type Handler,
  textOf,
} from './call.js';
import {
  badOption,
  type CallToolOptions,
  checkArguments,
  checkCallOptions,
  checkLimits,
  type RequestLimits,
} from './call-options.js';
import { runCall, ServiceCall } from './caller.js';
import { headersOf } from './catalog/tool.js';
import { isStoreError, StoreError } from './errors.js';
import { insteadOf, isOfTheWay, keepsLast, unlistedTool } from './fallback.js';
import type { Lease } from './lease.js';
import type { ToolFallback } from './options.js';
import type { ScopeCatalog, ScopeTool } from './scope-catalog.js';
import { needService, type ScopeParts } from './scope-parts.js';
import type { Service } from './service/service.js';

/** The headers of a request do not fit its body (MCP 2026-07-28, Streamable HTTP). */
const HEADER_MISMATCH = -32020;

export class ScopeCalls {
  readonly #parts: ScopeParts;
  readonly #catalog: ScopeCatalog;

  constructor(parts: ScopeParts, catalog: ScopeCatalog) {
    this.#parts = parts;
    this.#catalog = catalog;
  }

  /**
   * One tool call from its name to its result.
   * @param deadline - never later than this, whatever `timeoutMs`
   * @param begun - is given the record as soon as there is one
   */
  async callTool(
    name: string,
    args: Record<string, unknown> | undefined,
    options: CallToolOptions | undefined,
    deadline: number,
    begun?: (record: CallRecord) => void,
  ): Promise<CallToolResult> {
    const since = this.#parts.clock.now();
    if (typeof name !== 'string') throw badOption('name', 'the name of a tool');
    if (options) checkCallOptions(options);
    const params = checkArguments(args, name);
    this.#parts.assertOpen();
    let tool = this.#known(name, options);
    let noList: StoreError | undefined;
    try {
      tool ??= await this.#resolve(name, options, deadline);
    } catch (error) {
      // Who is down from the start may have what answers in its place all the same.
      const unlisted =
        options?.fallback !== false && isOfTheWay(error) ? unlistedTool(this.#parts, name, options) : undefined;
      if (unlisted === undefined) throw error;
      tool = unlisted;
      noList = error as StoreError;
    }
    for (let repaired = false; ; repaired = true) {
      const { service, facts } = tool;
      if (options?.validateArguments ?? service.performance.calls.validateArguments)
        await this.#validate(tool, params ?? {});
      const call = this.#toolCall(tool, params, options, since, deadline);
      begun?.(call.record);
      try {
        const result = (
          facts.fallbacks === undefined
            ? await runCall(call, service.handleFor(this.#parts.id), this.#parts)
            : await this.#withFallback(call, service, facts.fallbacks, options, noList)
        ) as CallToolResult;
        if (options?.throwOnToolError && result.isError) throw toolError(this.#redacted(result, call, service), call);
        return result;
      } catch (error) {
        // Its headers did not fit its body: the definition that they were made from is out of date.
        const mismatch = isStoreError(error) && error.rpcCode === HEADER_MISMATCH;
        // Nobody is asked twice for one call.
        if (repaired || !mismatch || call.record.asked > 0) throw error;
      }
      // Within what is left to this call; where no list comes, the second attempt tells why.
      const timeoutMs = Math.max(1, call.deadline - this.#parts.clock.now());
      const { signal } = call;
      await this.#catalog.list({ service: tool.local, refresh: 'always', timeoutMs, ...(signal && { signal }) });
      tool = await this.#resolve(name, options, deadline);
    }
  }

  /** A result for an error: without the secrets of the service, nor of the one that answered in its place. */
  #redacted(result: CallToolResult, { record }: Call, service: Service): CallToolResult {
    const other = record.fallback === 'service' ? this.#parts.find(fallbackOf(result)!.service!) : undefined;
    return service.redacted(other?.redacted(result) ?? result);
  }

  /** @param noList - why its service could not be asked at all */
  #withFallback(
    call: Call,
    service: Service,
    fallbacks: readonly ToolFallback[],
    options: CallToolOptions | undefined,
    noList: StoreError | undefined,
  ): Promise<CallResult> {
    const handle: Handler = async (own) => {
      if (noList) throw noList;
      const result = await service.handleFor(this.#parts.id)(own);
      if (keepsLast(fallbacks)) this.#parts.cache.keep(own, result);
      return result;
    };
    if (options?.fallback === false) return runCall(call, handle, this.#parts);
    // One deadline for all, and no fallback of the other tool's own: nothing goes round in a circle.
    const { timeoutMs: _, throwOnToolError: __, ...rest } = options ?? {};
    const instead = insteadOf(call, fallbacks, this.#parts, (other, tool, { params, deadline }) =>
      this.callTool(
        tool,
        params['arguments'] as Record<string, unknown>,
        { ...rest, service: other, fallback: false },
        deadline,
      ),
    );
    return runCall(call, handle, this.#parts, instead);
  }

  /** Any other request. */
  async request(
    local: string,
    method: string,
    params: Record<string, unknown>,
    limits: RequestLimits,
  ): Promise<CallResult> {
    this.#parts.assertOpen();
    const service = needService(this.#parts, local);
    const call = this.#plainCall(service, local, method, params, limits);
    return runCall(call, service.handleFor(this.#parts.id), this.#parts);
  }

  async setLogLevel(local: string, level: string, limits: RequestLimits): Promise<void> {
    if (typeof level !== 'string') throw badOption('level', 'the name of a log level, such as "info"');
    const service = needService(this.#parts, local);
    // A modern server has no request for it: each of ours says it.
    if (service.connection?.era !== 'modern')
      await this.request(local, 'logging/setLevel', { level }, limits).catch((error: unknown) => {
        if (service.connection?.era !== 'modern') throw error;
      });
    service.setLogLevel(level);
  }

  async lease<T>(local: string, fn: (lease: Lease) => Promise<T>): Promise<T> {
    this.#parts.assertOpen();
    const service = needService(this.#parts, local);
    return service.lease(this.#parts.id, (over) => {
      // What it changes, nobody may read from the cache any more.
      const handle = service.behindCache(over);
      const request: Lease['request'] = (method, params = {}, options) =>
        runCall(this.#plainCall(service, local, method, params, options), handle, this.#parts);
      return fn({
        request,
        callTool: async (name, args, options) => {
          const params = { name, arguments: checkArguments(args, name) ?? {} };
          return (await request('tools/call', params, options)) as CallToolResult;
        },
      });
    });
  }

  /** A name that was resolved before costs one look-up. */
  #known(name: string, options: { service?: string } | undefined): ScopeTool | undefined {
    return options?.service === undefined ? this.#catalog.known(name) : undefined;
  }

  #resolve(
    name: string,
    options: Pick<CallToolOptions, 'service' | 'timeoutMs' | 'signal'> = {},
    deadline: number,
  ): Promise<ScopeTool> {
    const { service, timeoutMs, signal } = options;
    return this.#catalog.resolve(name, {
      deadline,
      ...(service !== undefined && { service }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal && { signal }),
    });
  }

  #toolCall(
    tool: ScopeTool,
    args: Record<string, unknown> | undefined,
    options: CallToolOptions | undefined,
    since: number,
    deadline: number,
  ): Call {
    const { service, facts } = tool;
    const params: Record<string, unknown> = { name: tool.tool, arguments: args ?? {} };
    if (options?.meta !== undefined) params['_meta'] = options.meta;
    const spec = {
      scope: this.#parts.id,
      method: 'tools/call',
      params,
      ask: this.#askerOf(options),
      tool: tool.tool,
      subject: tool.exposed,
      since,
      deadline,
      headers: headersOf(facts, args),
      cache: options?.cache,
      repeatable: facts.repeatable,
      cacheable: facts.cacheable,
      readOnly: facts.readOnly,
      cachePrefix: facts.cachePrefix,
    };
    return new ServiceCall(service, spec, options);
  }

  /** A call that is not made through the catalog: reading, and everything over a lease. */
  #plainCall(
    service: Service,
    local: string,
    method: string,
    params: Record<string, unknown>,
    limits: RequestLimits = {},
  ): Call {
    const since = this.#parts.clock.now();
    checkLimits(limits);
    const isTool = method === 'tools/call';
    const tool = isTool ? String(params['name']) : method;
    const spec = {
      scope: this.#parts.id,
      method,
      params,
      ask: this.#askerOf(limits),
      tool,
      subject: `${local}: ${tool}`,
      since,
      deadline: Number.POSITIVE_INFINITY,
      headers: undefined,
      cache: undefined,
      repeatable: !isTool,
      cacheable: false,
      readOnly: !isTool,
      cachePrefix: '',
    };
    return new ServiceCall(service, spec, limits);
  }

  /** Whom the server may ask for this call. */
  #askerOf(options: RequestLimits | undefined): Call['ask'] {
    const asker = this.#parts.asker();
    return options?.onSampling === undefined && options?.onElicitation === undefined ? asker : asker.with(options);
  }

  async #validate(tool: ScopeTool, args: Record<string, unknown>): Promise<void> {
    const definition = await this.#catalog.definition(tool);
    if (definition === undefined) return;
    const { argumentProblem } = await import('./catalog/validate.js');
    const problem = await argumentProblem(definition, args);
    if (problem !== undefined)
      throw new StoreError('ARGUMENTS_INVALID', `${tool.exposed}: ${problem}`, {
        service: tool.local,
        tool: tool.tool,
      });
  }
}

/** @param result - without secrets: errors are logged */
function toolError(result: CallToolResult, call: Call): StoreError {
  const { service, tool, endpoint, attempts } = call.record;
  const text = textOf(result).slice(0, 1_000) || 'the tool reports an error';
  return new StoreError('TOOL_ERROR', `${call.subject}: ${text}`, {
    service,
    tool,
    endpoint,
    attempts,
    executed: 'yes',
    data: result,
  });
}
