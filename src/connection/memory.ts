/** Knows how to talk to an MCP server object that lives in this process. */

import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client';
import { asError } from '../errors.js';
import { jsonCopy } from './json-copy.js';

/** JSON-RPC 2.0, "Error object". */
const INTERNAL_ERROR = -32603;

/** What an SDK `Server` or `McpServer` (version 1 or 2) has. */
export interface ServerObject {
  connect(transport: Transport): Promise<void>;
  close?(): Promise<void>;
}

/** A server, or a function that makes a fresh one for each connection. */
export type ServerSource = ServerObject | (() => ServerObject | Promise<ServerObject>);

export function isServerSource(value: unknown): value is ServerSource {
  return (
    typeof value === 'function' ||
    (typeof value === 'object' && value !== null && typeof (value as ServerObject).connect === 'function')
  );
}

/** One end of a linked pair; a message is handed over in the same tick, as a copy: neither side can change the other's. */
class LinkedTransport implements Transport {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: Transport['onmessage'];
  other: LinkedTransport | undefined;
  /** What arrived before `start`. */
  #early: JSONRPCMessage[] | undefined = [];

  start(): Promise<void> {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) this.onmessage?.(message);
    return Promise.resolve();
  }

  send(message: JSONRPCMessage): Promise<void> {
    const other = this.other;
    // A server that answers late must not bring its host down with a rejection that nobody handles.
    if (other === undefined) return Promise.resolve();
    let copy: JSONRPCMessage;
    try {
      copy = copyOf(message);
    } catch (error) {
      if (!('result' in message)) return Promise.reject(error);
      // Whoever waits for this answer hears of it, where a wire would have nothing to say.
      const text = `JSON cannot carry the result: ${asError(asError(error).cause).message}`;
      copy = { jsonrpc: '2.0', id: message.id, error: { code: INTERNAL_ERROR, message: text } };
    }
    if (other.#early) other.#early.push(copy);
    else other.onmessage?.(copy);
    return Promise.resolve();
  }

  close(): Promise<void> {
    const other = this.other;
    if (other === undefined) return Promise.resolve();
    this.other = undefined;
    other.other = undefined;
    this.onclose?.();
    other.onclose?.();
    return Promise.resolve();
  }
}

/** The envelope of a call or its answer is the sender's own and only read: what stands in it is what others hold. */
function copyOf(message: JSONRPCMessage): JSONRPCMessage {
  if ('result' in message) return { jsonrpc: '2.0', id: message.id, result: jsonCopy(message.result) };
  if (!('id' in message) || !('method' in message) || message.params === undefined) return jsonCopy(message);
  return { jsonrpc: '2.0', id: message.id, method: message.method, params: jsonCopy(message.params) };
}

/** Connects `source` and returns our end of the pair. */
export async function connectServer(source: ServerSource): Promise<Transport> {
  const server = typeof source === 'function' ? await source() : source;
  const ours = new LinkedTransport();
  const theirs = new LinkedTransport();
  ours.other = theirs;
  theirs.other = ours;
  await server.connect(theirs);
  return ours;
}
