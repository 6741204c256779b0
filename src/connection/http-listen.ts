/** Knows the GET stream of a legacy connection: what the server says unasked, and how often a lost stream is reopened. */

import type { Timer } from '../_util/clock.js';
import { renewed } from './auth-http.js';
import { type ResponseHeaders, retryAfter } from './http-errors.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { headerOf, mediaType } from './http-headers.js';
import type { HttpLink } from './http-link.js';
import type { SseEvent } from './sse-parser.js';

/** Tries in a row that bring no event. */
const MAX_TRIES = 5;
const FIRST_DELAY_MS = 1_000;
/** Of our own pauses; a server may ask for longer ones. */
const MAX_DELAY_MS = 30_000;
/** Many servers close every stream at once and mean it politely: no wish of theirs makes us ask faster than this. */
const MIN_DELAY_MS = 100;
/** A stream that held for so long was a good one, even if the server had nothing to say. */
const GOOD_STREAM_MS = 30_000;
/** So long a connection that can be asked waits for the stream on which it may be. */
const SETTLE_MS = 1_000;

export class ListenStream {
  readonly link: HttpLink;
  #exchange: ListenExchange | undefined;
  #timer: Timer | undefined;
  #tries = 0;
  #stopped = false;
  #lastEventId: string | undefined;
  #retryMs: number | undefined;
  #openedAt: number | undefined;
  #everOpen = false;
  #renewals = 0;
  #onSettled: (() => void) | undefined;

  constructor(link: HttpLink) {
    this.link = link;
  }

  /**
   * Starts it, and settles when the first try has come to something or failed, after a second at the latest. A server
   * that asks on this stream, and not on the one of a call, would ask nobody before it is there.
   */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.link.clock.after(SETTLE_MS, () => this.#onSettled?.());
      this.#onSettled = () => {
        this.#onSettled = undefined;
        timer.cancel();
        resolve();
      };
      this.start();
    });
  }

  start(): void {
    if (this.#stopped) return;
    this.#openedAt = undefined;
    this.#exchange = new ListenExchange(this, this.#lastEventId);
    this.link.streams.run(this.#exchange);
  }

  stop(): void {
    this.#stopped = true;
    this.#onSettled?.();
    this.#timer?.cancel();
    this.#exchange?.stop();
  }

  opened(): void {
    this.#openedAt = this.link.clock.now();
    // Without an id the server cannot know what we missed.
    if (this.#everOpen && this.#lastEventId === undefined) this.link.tell(this.link.options.onGap);
    this.#everOpen = true;
    this.#onSettled?.();
    this.#renewals = 0;
  }

  event(event: SseEvent): void {
    this.#tries = 0;
    if (event.id !== undefined) this.#lastEventId = event.id;
    this.link.receive(event.data);
  }

  /**
   * The stream is over, or did not come about.
   * @param retryMs - the server's wish for whenever it ends
   * @param onceMs - its wish for this once
   */
  lost(retryMs: number | undefined, onceMs?: number): void {
    if (this.#stopped) return;
    this.#onSettled?.();
    const { link } = this;
    if (retryMs !== undefined) this.#retryMs = retryMs;
    if (this.#openedAt !== undefined && link.clock.now() - this.#openedAt >= GOOD_STREAM_MS) this.#tries = 0;
    if (this.#tries >= MAX_TRIES) {
      this.giveUp('it keeps ending without an event');
      return;
    }
    const backoff = FIRST_DELAY_MS * 2 ** this.#tries * (0.5 + link.clock.random() / 2);
    this.#tries++;
    const asked = onceMs ?? this.#retryMs;
    const delay = asked === undefined ? Math.min(backoff, MAX_DELAY_MS) : Math.max(asked, MIN_DELAY_MS);
    this.#timer = link.clock.after(delay, () => this.start());
  }

  /** New credentials are being got for it; false where that is out of the question. */
  renews(status: number, headers: ResponseHeaders, sent: readonly string[]): boolean {
    const renewing = renewed(this.link, status, headers, sent, false, this.#renewals++);
    if (!renewing) return false;
    renewing.then(
      (signed) => (signed ? this.start() : this.giveUp(`the server answered ${status}`)),
      () => this.lost(undefined),
    );
    return true;
  }

  giveUp(why: string): void {
    this.stop();
    this.link.log(`no stream for the server's own messages: ${why}`);
  }

  /** Refused with this status. */
  refused(status: number, retryAfterMs: number | undefined, text: string): void {
    const { link } = this;
    if (status === 429 || status >= 500) this.lost(undefined, retryAfterMs);
    // A first 404 comes from servers without such a stream; a later one says that the session is gone.
    else if (this.#everOpen && link.lostSession(status, text)) link.expire(status);
    else if (status === 405) this.stop();
    else this.giveUp(`the server answered ${status}`);
  }
}

class ListenExchange extends Exchange {
  readonly #stream: ListenStream;
  readonly #headers: readonly string[];

  constructor(stream: ListenStream, lastEventId: string | undefined) {
    const { link } = stream;
    const headers = link.streamHeaders(lastEventId);
    super(link, 'GET', link.path, headers);
    this.#stream = stream;
    this.#headers = headers;
  }

  protected override sent(): void {}

  protected override head(): BodyKind {
    const { status } = this;
    if (status >= 300) return 'text';
    if (mediaType(this.headers['content-type']) === 'text/event-stream') {
      this.#stream.opened();
      return 'events';
    }
    this.#stream.giveUp('the server answered with something that is no event stream');
    return 'text';
  }

  protected override event(event: SseEvent): void {
    this.#stream.event(event);
  }

  protected override text(body: string): void {
    const { link } = this.#stream;
    if (this.#stream.renews(this.status, this.headers, this.#headers)) return;
    this.#stream.refused(this.status, retryAfter(headerOf(this.headers, 'retry-after'), link.clock.wall()), body);
  }

  protected override end(): void {
    this.#stream.lost(this.sse?.retryMs);
  }

  protected override failed(error: Error): void {
    this.#stream.link.log(`stream lost: ${error.message}`);
    this.#stream.lost(this.sse?.retryMs);
  }
}
