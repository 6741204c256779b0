/** Knows what a running command has: its options, its output, its signal, and the store that it opened. */

import { nearest } from '../_util/nearest.js';
import type { AskHandlers, ConfigDocument, FoundConfig, MCPStore, Scope, ServiceConfig } from '../index.js';
import { GIVEN } from './given.js';
import { inputsOf, type Wanted } from './inputs.js';
import type { Interrupts } from './interrupts.js';
import type { Output } from './output.js';
import { noteStarts } from './starts.js';
import { needApproval } from './trust.js';
import { UsageError } from './usage.js';

/** The options of every command. */
export interface Globals {
  config: string | undefined;
  agent: string | undefined;
  /** Answers of `${input:id}`. */
  inputs: ReadonlyMap<string, string>;
  json: boolean;
  color: boolean;
  quiet: boolean;
}

/** A store that was opened, and the view of it that the command was asked to take. */
export interface Opened {
  store: MCPStore;
  scope: Scope;
  found: FoundConfig | undefined;
  document: ConfigDocument | undefined;
}

export class Run {
  readonly options: Globals;
  readonly out: Output;
  readonly interrupts: Interrupts;
  /** What servers may ask the person; set before the store is opened. */
  handlers: AskHandlers = {};
  #store: MCPStore | undefined;

  constructor(options: Globals, out: Output, interrupts: Interrupts) {
    this.options = options;
    this.out = out;
    this.interrupts = interrupts;
  }

  get signal(): AbortSignal {
    return this.interrupts.signal;
  }

  /**
   * Opens the store on the file that counts.
   * @param wanted - services that will be started: only what these need is asked for; a name may be `service__tool`
   * @throws StoreError `NOT_TRUSTED` for a project's file that is not approved
   */
  async open(wanted: Wanted): Promise<Opened> {
    const { findConfig, loadConfig } = await import('../index.js');
    const found = await findConfig({ config: this.options.config });
    // A file that was named has to be there; the user's own need not.
    const document = found.exists || found.source === 'named' ? await loadConfig(found.file) : undefined;
    if (document !== undefined && found.source === 'project') await needApproval(this, document);
    return this.openDocument(found, document, wanted, { newAgent: false });
  }

  /**
   * Opens the store on a document whose use was decided.
   * @param newAgent - the agent need not be in the file yet
   */
  async openDocument(
    found: FoundConfig,
    document: ConfigDocument | undefined,
    wanted: Wanted,
    { newAgent }: { newAgent: boolean },
  ): Promise<Opened> {
    const { MCPStore, isConfigApproved, loadConfig } = await import('../index.js');
    const store = await MCPStore.open({
      ...(document === undefined ? { services: {} } : { config: found.file }),
      inputs: inputsOf(this, document, wanted),
      watch: false,
      ...this.handlers,
    });
    this.#use(store);
    // What was opened must be what was approved, should the file have been written in between.
    if (document !== undefined && found.source === 'project') {
      const now = await loadConfig(found.file);
      if (now.text !== document.text && !(await isConfigApproved(now))) await needApproval(this, now);
    }
    return { store, scope: this.#scopeOf(store, document, newAgent), found, document };
  }

  /** Opens a store that has one service, given on the command line. */
  async openGiven(config: ServiceConfig): Promise<Opened> {
    const { MCPStore } = await import('../index.js');
    const inputs = inputsOf(this, undefined, 'all');
    const store = await MCPStore.open({ services: { [GIVEN]: config }, inputs, watch: false, ...this.handlers });
    this.#use(store);
    return { store, scope: store, found: undefined, document: undefined };
  }

  /** Ends whatever was started. */
  async close(): Promise<void> {
    await this.#store?.close({ drainMs: 0 });
  }

  #use(store: MCPStore): void {
    this.#store = store;
    noteStarts(store, this.out);
    this.interrupts.onDrain = () => void store.close({ drainMs: 60_000 });
  }

  #scopeOf(store: MCPStore, document: ConfigDocument | undefined, newAgent: boolean): Scope {
    const { agent } = this.options;
    if (agent === undefined) return store;
    const known = [...(document?.agents.keys() ?? [])];
    if (!newAgent && !known.includes(agent)) {
      const near = nearest(agent, known);
      throw new UsageError(
        `--agent: there is no agent named ${agent}${near.length > 0 ? `; nearest: ${near.join(', ')}` : ''}`,
        `mcpstore add --agent ${agent} … makes one.`,
      );
    }
    return store.forAgent(agent, this.handlers);
  }
}
