/** The contract over streamable HTTP: replies as JSON and as events, the modern era, and legacy SSE. */

import type { ServiceConfig } from '../../src/index.js';
import { Behaviour } from '../support/behaviour.mjs';
import { type HttpCarrier, httpCarrier, modernCarrier, sseCarrier } from '../support/carriers.js';
import { afterwards } from '../support/harness.js';
import { describeTransport } from './suite.js';

async function service(carrier: Promise<HttpCarrier>, type: 'http' | 'sse' = 'http'): Promise<ServiceConfig> {
  const { url, close } = await carrier;
  afterwards(close);
  return { type, url };
}

const json = { kind: 'http', notices: false, asks: false };
describeTransport('HTTP, JSON replies', () => service(httpCarrier(new Behaviour(), true)), json);
describeTransport('HTTP, event replies', () => service(httpCarrier(new Behaviour(), false)), { kind: 'http' });
const modern = { kind: 'http', era: 'modern', logs: false, asks: false } as const;
describeTransport('HTTP, modern era', () => service(modernCarrier(new Behaviour())), modern);
describeTransport('legacy SSE', () => service(sseCarrier(new Behaviour()), 'sse'), { kind: 'sse' });
