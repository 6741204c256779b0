/** Knows the browser's way back: a listener on 127.0.0.1 that takes one redirect with the right `state`. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const PATH = '/callback';
const PAGE = (text: string): string =>
  `<!doctype html><meta charset="utf-8"><title>mcpstore</title><p>${text} You can close this window.</p>\n`;

/** Waits for one redirect. Nothing of what it brings is shown in the page that it answers with. */
export class RedirectListener {
  readonly #server: Server;
  #state: string | undefined;
  #came!: (params: URLSearchParams) => void;
  readonly came: Promise<URLSearchParams>;

  private constructor() {
    this.came = new Promise((resolve) => {
      this.#came = resolve;
    });
    this.#server = createServer({ requestTimeout: 10_000, maxHeaderSize: 16 * 1024 }, (request, response) => {
      // Any page of any browser on this machine may ask here, also for what is no address, such as `//`.
      const asked = `http://127.0.0.1${request.url}`;
      const url = URL.canParse(asked) ? new URL(asked) : undefined;
      const good =
        request.method === 'GET' &&
        url?.pathname === PATH &&
        this.#state !== undefined &&
        url.searchParams.get('state') === this.#state;
      response.writeHead(good ? 200 : 400, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'none'",
        'referrer-policy': 'no-referrer',
        connection: 'close',
      });
      const refused = url?.searchParams.has('error');
      response.end(PAGE(!good ? 'This is not the sign-in that was begun.' : refused ? 'Not signed in.' : 'Signed in.'));
      if (good) this.#came(url.searchParams);
    });
  }

  /** @param port - wanted, and any other where it is taken and `insist` is not set */
  static async open(port: number, insist: boolean): Promise<RedirectListener> {
    const listener = new RedirectListener();
    try {
      await listener.#listen(port);
    } catch (error) {
      if (insist || port === 0) throw error;
      await listener.#listen(0);
    }
    return listener;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${PATH}`;
  }

  /** Others than this are told that they are not awaited. */
  expect(state: string): void {
    this.#state = state;
  }

  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }
}
