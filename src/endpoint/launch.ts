/** Knows how a connection of one endpoint is opened: its time-outs, its turn among all starts, and the era it spoke last. */

import { basename } from 'node:path';
import type { Clock } from '../_util/clock.js';
import type { Gate } from '../_util/gate.js';
import type { EndpointDefinition } from '../config/definition.js';
import type { Asking } from '../connection/asked.js';
import type { Credentials } from '../connection/auth.js';
import type { ChannelLimits } from '../connection/channel.js';
import { type ConnectOptions, connect, type KnownEra } from '../connection/connect.js';
import type { Connection } from '../connection/connection.js';
import { both, type Redact, redactorOf } from '../connection/redact.js';
import { poolSize } from '../option-layers.js';
import type { ResolvedPerformance, ServiceOptions } from '../options.js';

export interface LauncherOptions {
  definition: EndpointDefinition;
  /** Resolved for this service. */
  performance: ResolvedPerformance;
  /** The service's own options: `connectionPool` there decides the counts of processes. */
  own: ServiceOptions;
  clock: Clock;
  /** Bounds how many processes of the whole store start at a time. */
  gate: Gate;
  /** Signs its requests; undefined where nothing needs to be got for that. */
  credentials?: (() => Promise<Credentials | undefined>) | undefined;
  /** Where processes are noted, so that a later run can end what this one could not; undefined: nowhere. */
  stateDir?: string | undefined;
  /** A line of stderr or noise on stdout. */
  onLine: (stream: 'stdout' | 'stderr', text: string) => void;
  /** Notifications may have been missed. */
  onGap: () => void;
  /** The callers whom the server may ask; undefined: nobody. */
  asking?: Asking | undefined;
}

const MAX_MESSAGE_BYTES = 10 * 1024 * 1024;
const DEFAULT_STOP_TIMEOUT_MS = 2_000;
/** Commands that may download what they run at their first start. */
const DOWNLOADERS = /^(npx|uvx|bunx|pipx|docker|podman|deno)$/;
const DOWNLOADING_VERB = /^(dlx|exec|x|tool|run)$/;

/** Does this command line fetch its program first? Then its first start gets `startTimeoutMs`. */
export function mayDownload(command: string, args: readonly string[]): boolean {
  const name = basename(command).replace(/\.(cmd|exe|bat)$/i, '');
  if (DOWNLOADERS.test(name)) return true;
  return /^(npm|pnpm|yarn|bun|uv)$/.test(name) && args.some((arg) => DOWNLOADING_VERB.test(arg));
}

export class Launcher {
  #options: LauncherOptions;
  /** Connects under way: closing ends them and waits until nothing of them is left. */
  readonly #opening = new Set<Promise<unknown>>();
  #starts = new AbortController();
  #startedOnce = false;
  /** What every connection is told once it is open; undefined: nothing. */
  logLevel: string | undefined;
  #credentials: Credentials | undefined;
  /** With which the last connect was refused. */
  #used: string | undefined;
  /** Which era the last connection spoke: saves the next one the question. */
  #era: KnownEra | undefined;

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /** Other options, for what is opened from now on. */
  configure(performance: ResolvedPerformance): void {
    this.#options = { ...this.#options, performance };
  }

  /** What a connection is opened with and can change while it is open. */
  get limits(): ChannelLimits {
    const { own, performance } = this.#options;
    const { writeTimeoutMs, maxIdleTimeMs } = performance.connectionPool;
    const { max, min } = poolSize('http', own.connectionPool, performance.connectionPool);
    return { writeTimeoutMs, sockets: { max, min, idleMs: maxIdleTimeMs } };
  }

  open(): Promise<Connection> {
    const { definition, gate } = this.#options;
    // Only processes are dear to start; a socket or an object in this process needs no turn.
    const { signal } = this.#starts;
    const opening = definition.kind === 'stdio' ? gate.run(() => this.#connect(signal)) : this.#connect(signal);
    const settled: Promise<unknown> = opening.catch(() => {}).finally(() => this.#opening.delete(settled));
    this.#opening.add(settled);
    return opening;
  }

  /** May other credentials be had than those of the last connect? Somebody may have signed in meanwhile. */
  get newCredentials(): boolean {
    const credentials = this.#credentials;
    return credentials !== undefined && (credentials.changed || credentials.authorization !== this.#used);
  }

  /** Takes out what it was given, and what it signs in with. */
  get redact(): Redact {
    return both(redactorOf(this.#options.definition), this.#credentials?.redact);
  }

  /** Ends what is being opened. */
  halt(reason: Error): void {
    this.#starts.abort(reason);
  }

  /** Opens again after `halt`, as for the first time: what answers there may have been replaced, for which one restarts. */
  resume(): void {
    this.#starts = new AbortController();
    this.#era = undefined;
  }

  /** Settles when nothing is being opened any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#opening);
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    const { definition, performance, own, clock, stateDir, onLine, onGap, asking } = this.#options;
    this.#credentials ??= await this.#options.credentials?.();
    const pool = performance.connectionPool;
    const slow = definition.kind === 'stdio' && !this.#startedOnce && mayDownload(definition.command, definition.args);
    const options: ConnectOptions = {
      ...this.limits,
      clock,
      signal,
      credentials: this.#credentials,
      stateDir,
      timeoutMs: slow ? pool.startTimeoutMs : pool.connectionTimeoutMs,
      stopTimeoutMs: own.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      maxInFlight: pool.maxInFlightPerConnection,
      onNoise: (line) => onLine('stdout', line),
      onStderr: (text) => onLine('stderr', text),
      onGap,
      onOtherEra: () => {
        this.#era = undefined;
      },
      asking,
    };
    const connection = await connect(definition, options, this.#era).finally(() => {
      this.#used = this.#credentials?.authorization;
    });
    this.#startedOnce = true;
    // Not waited for: one that refuses or stays silent is used all the same, and must not hold up a start or a close.
    if (this.logLevel !== undefined) connection.setLogLevel(this.logLevel, options.timeoutMs).catch(() => {});
    this.#era = { kind: connection.era, discover: connection.discover, at: clock.now() };
    return connection;
  }
}
