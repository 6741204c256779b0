/** Knows how a legacy stream that broke before its answer is taken up again: GET with the last event's id. */

import type { Timer } from '../_util/clock.js';
import { StoreError } from '../errors.js';
import { networkError, statusError } from './http-errors.js';
import { type BodyKind, Exchange } from './http-exchange.js';
import { mediaType } from './http-headers.js';
import type { HttpLink } from './http-link.js';
import type { PendingRequest } from './pending.js';
import type { SseEvent } from './sse-parser.js';

/** Tries in a row that bring no event. */
const MAX_TRIES = 3;
const FIRST_DELAY_MS = 250;
const MIN_DELAY_MS = 20;

/** Takes up the stream of `request` after `lastEventId`; without success the request fails as `OUTCOME_UNKNOWN`. */
export function resume(
  link: HttpLink,
  request: PendingRequest,
  lastEventId: string,
  retryMs: number | undefined,
  cause: Error,
): void {
  const state: ResumeState = { link, request, lastEventId, retryMs, cause, tries: 0 };
  again(state);
}

interface ResumeState {
  readonly link: HttpLink;
  readonly request: PendingRequest;
  lastEventId: string;
  retryMs: number | undefined;
  /** Why the stream broke the first time. */
  readonly cause: Error;
  tries: number;
}

function again(state: ResumeState): void {
  const { link, request } = state;
  if (!link.pending.has(request.id)) return;
  if (state.tries >= MAX_TRIES || link.closeReason !== undefined) {
    link.pending.fail(request, networkError(link, state.cause, true));
    return;
  }
  const backoff = FIRST_DELAY_MS * 2 ** state.tries * (0.5 + link.clock.random() / 2);
  // A wish of the server's is a must (MCP, "Resumability"); the call's own deadline bounds it.
  const delay = state.retryMs === undefined ? backoff : Math.max(state.retryMs, MIN_DELAY_MS);
  state.tries++;
  const go = (): void => {
    if (link.pending.has(request.id)) link.requests.run(new ResumeExchange(state));
  };
  // A caller waits, and no socket may be open meanwhile.
  const timer: Timer = link.clock.after(delay, go, true);
  request.stop = () => timer.cancel();
}

class ResumeExchange extends Exchange {
  readonly #state: ResumeState;

  constructor(state: ResumeState) {
    const { link } = state;
    super(link, 'GET', link.path, link.streamHeaders(state.lastEventId));
    this.#state = state;
    state.request.stop = () => this.stop();
  }

  protected override sent(): void {}

  protected override head(): BodyKind {
    return this.status === 200 && mediaType(this.headers['content-type']) === 'text/event-stream' ? 'events' : 'text';
  }

  protected override event(event: SseEvent): void {
    const { link, request } = this.#state;
    if (event.id !== undefined) this.#state.lastEventId = event.id;
    this.#state.tries = 0;
    request.lastSeen = link.clock.now();
    link.receive(event.data, request);
    if (!link.pending.has(request.id)) link.linger(this);
  }

  protected override text(body: string): void {
    const { link, request, cause } = this.#state;
    const { status } = this;
    if (status >= 500 || status === 429) {
      again(this.#state);
      return;
    }
    // The call went out before, so whatever this says, it may have run.
    if (link.lostSession(status, body)) link.expire(status);
    const why = status < 300 ? cause : statusError(link, status, this.headers, body, link.clock.wall());
    link.pending.fail(request, networkError(link, why, true));
  }

  protected override end(): void {
    this.#again();
  }

  protected override failed(error: Error): void {
    if (error instanceof StoreError) this.#state.link.pending.fail(this.#state.request, error);
    else this.#again();
  }

  #again(): void {
    if (this.sse?.retryMs !== undefined) this.#state.retryMs = this.sse.retryMs;
    again(this.#state);
  }
}
