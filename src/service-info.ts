/** Knows what is told about a service without asking it: a plain snapshot. */

import type { Clock } from './_util/clock.js';
import type { Endpoint } from './endpoint/endpoint.js';
import type { PoolStats } from './endpoint/pool-stats.js';
import type { ErrorCode } from './errors.js';
import type { ServiceStatus } from './events.js';
import type { Service } from './service/service.js';

export interface ServiceInfo {
  /** Name within the scope. */
  name: string;
  status: ServiceStatus;
  /** How it is reached. Undefined where its configuration cannot be used. */
  kind: 'stdio' | 'http' | 'sse' | 'memory' | undefined;
  /** Kept and listed, never started. */
  disabled: boolean;
  /** Tools of the list as last seen in this run; undefined where none was needed yet. */
  tools: number | undefined;
  /** Why it cannot be used now. */
  problem: { code: ErrorCode; message: string } | undefined;
  /** When it is tried again, from now. Milliseconds. */
  nextTryInMs: number | undefined;
  /** Of the open connection; undefined while there is none. */
  protocolVersion: string | undefined;
  era: 'legacy' | 'modern' | undefined;
  server: { name: string; version: string } | undefined;
  instructions: string | undefined;
  /** MCP server capabilities, as the server gave them. */
  capabilities: Record<string, unknown> | undefined;
  /** Processes that run for it. */
  pids: number[];
  calls: { running: number; waiting: number };
  /** By endpoint. */
  connections: Record<string, PoolStats>;
  /** Each place where it runs; none while it was never used. */
  endpoints: EndpointInfo[];
}

/** One endpoint of a service, as it stands now. */
export interface EndpointInfo {
  /** Its command or address, without arguments, query or credentials. */
  label: string;
  status: ServiceStatus;
  /** Which start this is, counted from 1, while it is being started. */
  attempt: number | undefined;
  /** When it is tried again, from now. Milliseconds. */
  nextTryInMs: number | undefined;
  /** Why it is in this state, where it is no good one. */
  problem: { code: ErrorCode; message: string } | undefined;
  weight: number;
  inFlight: number;
  /** Mean time of an answer of late, in milliseconds; undefined where nothing is known. */
  latencyMs: number | undefined;
}

export function infoOf(name: string, service: Service, clock: Clock): ServiceInfo {
  const { state, connection, definition } = service;
  const error = service.problem ?? service.failure ?? service.tools.problem;
  return {
    name,
    status: statusOf(service),
    kind: definition?.endpoints[0]?.kind,
    disabled: definition?.disabled ?? false,
    tools: service.tools.size,
    problem: error && { code: error.code, message: error.message },
    nextTryInMs: 'nextTryAt' in state ? Math.max(0, Math.round(state.nextTryAt - clock.now())) : undefined,
    protocolVersion: connection?.protocolVersion,
    era: connection?.era,
    server: connection?.serverInfo && { name: connection.serverInfo.name, version: connection.serverInfo.version },
    instructions: connection?.instructions,
    capabilities: connection?.capabilities as Record<string, unknown> | undefined,
    pids: service.pids,
    calls: service.calls,
    connections: service.poolStats(),
    endpoints: service.endpoints.map((endpoint) => endpointOf(endpoint, clock.now())),
  };
}

export function endpointOf(endpoint: Endpoint, now: number): EndpointInfo {
  const { state, label, weight, inFlight, failure } = endpoint;
  return {
    label,
    status: state.name,
    attempt: 'attempt' in state ? Math.max(1, state.attempt) : undefined,
    nextTryInMs: 'nextTryAt' in state ? Math.max(0, Math.round(state.nextTryAt - now)) : undefined,
    problem: failure && { code: failure.code, message: failure.message },
    weight,
    inFlight,
    latencyMs: endpoint.latencyMs(now) || undefined,
  };
}

export function statusOf(service: Service): ServiceStatus {
  if (service.problem) return 'failed';
  return service.definition?.disabled ? 'stopped' : service.state.name;
}

/** What OpenTelemetry's conventions for MCP recommend to tell of a service's transport. */
export function attributesOf(service: Service | undefined): Record<string, string | number> {
  const [endpoint, ...others] = service?.definition?.endpoints ?? [];
  const version = service?.connection?.protocolVersion;
  const attributes: Record<string, string | number> = version ? { 'mcp.protocol.version': version } : {};
  if (endpoint === undefined || endpoint.kind === 'memory') return attributes;
  attributes['network.transport'] = endpoint.kind === 'stdio' ? 'pipe' : 'tcp';
  if (endpoint.kind === 'stdio' || others.length > 0) return attributes;
  const { protocol, hostname, port } = new URL(endpoint.url);
  attributes['network.protocol.name'] = 'http';
  attributes['server.address'] = hostname;
  attributes['server.port'] = Number(port) || (protocol === 'https:' ? 443 : 80);
  return attributes;
}
