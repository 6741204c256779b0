/** Knows the shapes of a configuration: as people write it, as a whole document, and as a service that can be started. */

import type { AuthOptions } from '../auth-options.js';
import type { PerformanceOptions, ServiceOptions } from '../options.js';

/** Where and how one service runs, with every variable filled in. */
export type EndpointDefinition = (
  | {
      readonly kind: 'stdio';
      readonly command: string;
      readonly args: readonly string[];
      /** What the config declares (`envFile` below `env`), not the whole environment of the child. */
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string | undefined;
    }
  | {
      readonly kind: 'http' | 'sse';
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      /** How it signs in; undefined: as a person, where one has. */
      readonly auth?: AuthOptions | false | undefined;
    }
  /** An MCP server object in this process; only code can give it. */
  | { readonly kind: 'memory'; readonly server: unknown }
) & {
  /** Its share of the calls beside its replicas; 1 where it is not said. */
  readonly weight?: number | undefined;
};

/** One service as people write it in `mcp.json`: templates such as `${TOKEN}` stand unexpanded. */
export interface ServiceConfig {
  type?: 'stdio' | 'http' | 'streamable-http' | 'streamableHttp' | 'sse';
  command?: string;
  args?: string[];
  env?: Record<string, string>;
  /** A file of `KEY=VALUE` lines, relative as `cwd` is; `env` wins over it. */
  envFile?: string;
  url?: string;
  headers?: Record<string, string>;
  /** Relative to the folder of the config file; where the store has none, to the program's working folder. */
  cwd?: string;
  /** Kept, but never started. */
  disabled?: boolean;
  /** Bounds one whole call: seconds below 1,000, else milliseconds. */
  timeout?: number;
  mcpstore?: ServiceOptions;
  /** An MCP server object of this process; in code only. */
  server?: unknown;
  /** Keys of other programs; kept and ignored. */
  [foreign: string]: unknown;
}

/** A service ready to be started. */
export interface ServiceDefinition {
  readonly name: string;
  /** At least one. */
  readonly endpoints: readonly EndpointDefinition[];
  readonly options: ServiceOptions;
  readonly disabled: boolean;
  /** From `timeout`, in milliseconds. `options.calls.callTimeoutMs` says it more precisely, so it wins where both stand. */
  readonly callTimeoutMs: number | undefined;
  /** Equal for equal endpoints: when it changes, what runs must be replaced. 16 hexadecimal digits. */
  readonly revision: string;
  /** Equal for equal `options` and `disabled`: where both revisions stay, what runs goes on, with a new `callTimeoutMs`. */
  readonly settingsRevision: string;
  /** As written, templates unexpanded: what may be shown and saved. */
  readonly config: ServiceConfig;
}

/** A value that the user is asked for, as VS Code's `inputs` declare it. */
export interface InputDefinition {
  readonly id: string;
  readonly type: string | undefined;
  readonly description: string | undefined;
  readonly default: string | undefined;
  /** Do not show what is typed. */
  readonly password: boolean;
  /** The answers of a `pickString`. */
  readonly options: readonly string[] | undefined;
}

/** One agent as `mcpstore.agents` declares it. */
export interface AgentConfig {
  /** Services of the store that it sees. */
  readonly services: readonly string[] | undefined;
  /** Its own services by their local names. */
  readonly mcpServers: ReadonlyMap<string, ServiceConfig>;
}

/** A key of the file that this product does not act on. */
export interface ForeignKey {
  /** Such as `mcpServers.files.autoApprove`. */
  readonly path: string;
  /** 1-based. */
  readonly line: number;
  /** `'unknown'`: another program's key. `'unused'`: known, but of no effect beside this service's `command` or `url`. */
  readonly why: 'unknown' | 'unused';
}

/** A checked `mcp.json`. */
export interface ConfigDocument {
  readonly file: string | undefined;
  /** Exactly what stands in the file, a byte-order mark included. */
  readonly text: string;
  /** The key that its services stand under; `'mcpServers'` where there is none yet. */
  readonly servicesKey: 'mcpServers' | 'servers';
  readonly services: ReadonlyMap<string, ServiceConfig>;
  readonly performance: PerformanceOptions | undefined;
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly inputs: readonly InputDefinition[];
  /** Told by `mcpstore check`. */
  readonly foreign: readonly ForeignKey[];
}
