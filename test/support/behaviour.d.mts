/** Types of behaviour.mjs. */

export declare class RpcFailure extends Error {
  code: number;
  data: unknown;
  constructor(code: number, message: string, data?: unknown);
}

export declare const CAPABILITIES: {
  tools: { listChanged: true };
  resources: { listChanged: true };
  prompts: { listChanged: true };
  completions: Record<string, never>;
  logging: Record<string, never>;
};

export interface BehaviourContext {
  signal: AbortSignal | undefined;
  progress(params: Record<string, unknown>): Promise<void>;
  log(params: Record<string, unknown>): Promise<void>;
  toolsChanged(): Promise<void> | void;
  ask(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>>;
}

export declare class Behaviour {
  tools: { name: string; inputSchema: Record<string, unknown> }[];
  state: { calls: number; lists: number; cancelled: number; pings: number; count: number; peeks: number; pid: number };
  /** Every tool answers so much later. */
  callDelayMs?: number;
  constructor(options?: { tools?: number; names?: string[] });
  handle(
    method: string,
    params: Record<string, unknown> | undefined,
    context: BehaviourContext,
  ): Promise<Record<string, unknown>>;
}
