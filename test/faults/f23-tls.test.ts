/** HTTPS with a certificate that does not hold: told as what it is, before anything is sent, and never tried again. */

import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { afterwards, cleanUpAfterEach, openStore, temporaryPath } from '../support/harness.js';
import { host } from '../support/host.js';
import { HttpTestServer } from '../support/http-server.js';
import { selfSigned } from '../support/self-signed.js';
import { failure } from '../support/waiting.js';

cleanUpAfterEach();

/** TLS in front of a scripted server. */
async function secured(certificate: {
  key: string;
  cert: string;
}): Promise<{ url: string; http: HttpTestServer; tried: () => number }> {
  const http = await HttpTestServer.start();
  afterwards(() => http.close());
  const tls = createServer(certificate);
  let tried = 0;
  tls.on('connection', () => tried++);
  // What is inside is plain HTTP for the server behind.
  tls.removeAllListeners('secureConnection');
  tls.on('secureConnection', (socket) => {
    const behind = connect(Number(http.url.port), '127.0.0.1');
    socket.on('error', () => behind.destroy());
    behind.on('error', () => socket.destroy());
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
  afterwards(() => tls.close());
  const { port } = tls.address() as { port: number };
  return { url: `https://127.0.0.1:${port}/mcp`, http, tried: () => tried };
}

describe('F23: TLS', () => {
  it.each([
    ['that nobody vouches for', selfSigned('127.0.0.1'), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['that is over', selfSigned('127.0.0.1', 0), /CERT/],
  ])('a certificate %s: CONNECT_FAILED, nothing sent, one try', async (_what, certificate, errno) => {
    const { url, http, tried } = await secured(certificate);
    const performance = { connectionPool: { maxRetries: 3, retryDelayMs: 1 } };
    const headers = { Authorization: 'Bearer canary' };
    const store = await openStore({ services: { tls: { url, headers } }, performance });
    const error = await failure(store.callTool('tls__echo', {}, { timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', executed: 'no', figures: { retryable: false } });
    expect(error.figures?.['errno']).toMatch(errno);
    expect(error.hint).toMatch(/TLS.*certificate/);
    expect(tried()).toBe(1);
    expect(http.seen).toEqual([]);
  });

  it('a certificate that the user trusts is no fault, unless it is for another host', async () => {
    const [good, other] = [selfSigned('127.0.0.1'), selfSigned('other.example')];
    const servers = { good: await secured(good), other: await secured(other) };
    const ca = temporaryPath('ca.pem');
    writeFileSync(ca, good.cert + other.cert);
    const services = { good: { url: servers.good.url }, other: { url: servers.other.url } };
    const program = `
      const store = await MCPStore.open({ stateDir: null, services: input });
      say((await store.callTool('good__echo', { text: 'safe' })).content[0].text);
      say(await store.callTool('other__echo', {}, { timeoutMs: 10_000 }).catch((error) => error));
      await store.close();`;
    const child = host(program, services, ['env', `NODE_EXTRA_CA_CERTS=${ca}`]);
    expect(await child.next()).toBe('"safe"');
    expect(await child.next()).toMatchObject({
      code: 'CONNECT_FAILED',
      figures: { errno: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
    expect(await child.ended).toBe(0);
    expect(servers.other.http.seen).toEqual([]);
    expect(servers.other.tried()).toBe(1);
  });
});
