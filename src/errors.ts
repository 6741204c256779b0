/** Knows the one error class of the product and its closed table of codes; everything that fails fails with it. */

import type { FlowResult } from './flow/steps.js';

/** Every code, with the HTTP status and the exit code that it maps to. Closed: adding one is a change of the contract. */
export const ERROR_CODES = {
  CONFIG_INVALID: { http: 400, exit: 3 },
  OPTION_INVALID: { http: 400, exit: 2 },
  ARGUMENTS_INVALID: { http: 400, exit: 2 },
  FLOW_INVALID: { http: 400, exit: 2 },
  NOT_TRUSTED: { http: 403, exit: 3 },
  SERVICE_UNKNOWN: { http: 404, exit: 4 },
  TOOL_UNKNOWN: { http: 404, exit: 4 },
  TOOL_AMBIGUOUS: { http: 409, exit: 4 },
  SERVICE_EXISTS: { http: 409, exit: 4 },
  TOOL_BLOCKED: { http: 403, exit: 4 },
  SPAWN_FAILED: { http: 502, exit: 5 },
  START_FAILED: { http: 502, exit: 5 },
  CONNECT_FAILED: { http: 502, exit: 5 },
  SERVICE_DOWN: { http: 503, exit: 5 },
  TOOL_ERROR: { http: 502, exit: 6 },
  RPC_ERROR: { http: 502, exit: 6 },
  TIMEOUT: { http: 504, exit: 7 },
  CANCELLED: { http: 499, exit: 130 },
  LIMIT_EXCEEDED: { http: 429, exit: 8 },
  RATE_LIMITED: { http: 503, exit: 8 },
  AUTH_REQUIRED: { http: 401, exit: 9 },
  FORBIDDEN: { http: 403, exit: 9 },
  OUTCOME_UNKNOWN: { http: 502, exit: 1 },
  PROTOCOL_ERROR: { http: 502, exit: 1 },
  MESSAGE_TOO_LARGE: { http: 502, exit: 1 },
  FILE_FAILED: { http: 500, exit: 1 },
  STORE_CLOSED: { http: 503, exit: 1 },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * May the call have run?
 * - `'no'`: it never reached the server, or the server refused it before running it.
 * - `'yes'`: the server answered.
 * - `'unknown'`: it was sent and no answer came. Repeating it may run it twice.
 */
export type Executed = 'no' | 'yes' | 'unknown';

export interface StoreErrorFields {
  service?: string | undefined;
  tool?: string | undefined;
  endpoint?: string | undefined;
  /** How many times the call was sent or tried to be sent. */
  attempts?: number | undefined;
  /** Default `'no'`. */
  executed?: Executed | undefined;
  /** Numbers and names that explain the state, such as `{ open: 4, waiting: 12 }`. Never a secret. */
  figures?: Readonly<Record<string, unknown>> | undefined;
  /** One sentence: what the reader can do. */
  hint?: string | undefined;
  /** JSON-RPC error code of an `RPC_ERROR`. */
  rpcCode?: number | undefined;
  /** JSON-RPC error data of an `RPC_ERROR`. */
  data?: unknown;
  cause?: unknown;
  /** See `StoreError.flow`. */
  flow?: FlowResult | undefined;
}

/** The only error that this package throws. `code` says what happened, `executed` whether the call may have run. */
export class StoreError extends Error {
  readonly code: ErrorCode;
  service: string | undefined;
  tool: string | undefined;
  endpoint: string | undefined;
  attempts: number;
  readonly executed: Executed;
  readonly figures: Readonly<Record<string, unknown>> | undefined;
  readonly hint: string | undefined;
  readonly rpcCode: number | undefined;
  readonly data: unknown;
  readonly #flow: FlowResult | undefined;

  constructor(code: ErrorCode, message: string, fields: StoreErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'StoreError';
    this.code = code;
    this.service = fields.service;
    this.tool = fields.tool;
    this.endpoint = fields.endpoint;
    this.attempts = fields.attempts ?? 0;
    this.executed = fields.executed ?? 'no';
    this.figures = fields.figures;
    this.hint = fields.hint;
    this.rpcCode = fields.rpcCode;
    this.data = fields.data;
    this.#flow = fields.flow;
  }

  /**
   * Of a chain or workflow that failed: what `run` would have resolved to, as far as it came. Not among the fields of
   * the error, so that no log has results of tools.
   */
  get flow(): FlowResult | undefined {
    return this.#flow;
  }

  /** HTTP status of this code. */
  get httpStatus(): number {
    return ERROR_CODES[this.code].http;
  }

  /** Exit code of the command line for this code. */
  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }

  /** Plain fields for logs and `--json`; empty ones are left out, the cause is given by its message. */
  toJSON(): Record<string, unknown> {
    const out: Record<string, unknown> = { code: this.code, message: this.message, executed: this.executed };
    for (const key of ['service', 'tool', 'endpoint', 'figures', 'hint', 'rpcCode', 'data'] as const)
      if (this[key] !== undefined) out[key] = this[key];
    if (this.attempts > 0) out['attempts'] = this.attempts;
    if (this.cause !== undefined) out['cause'] = this.cause instanceof Error ? this.cause.message : String(this.cause);
    return out;
  }
}

/** Is it a StoreError, of this code if one is given? Works across two copies of the package. */
export function isStoreError(value: unknown, code?: ErrorCode): value is StoreError {
  return (
    value instanceof Error && value.name === 'StoreError' && (code === undefined || (value as StoreError).code === code)
  );
}

/** Any thrown value as an Error: what is not one becomes the message. */
export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
