/** Knows how a start that takes long is told: that something is being downloaded, or what is waited for. */

import type { MCPStore } from '../index.js';
import type { Output } from './output.js';

/** By what a command that fetches its program first is called. */
const DOWNLOADERS = /^(npx|uvx|bunx|pipx|npm|pnpm|yarn|bun|uv|docker|podman|deno)(\.(cmd|exe|bat))?$/i;
const SOON_MS = 1_000;
const LATER_MS = 3_000;

/** Notes each start that is not over after a moment, and each that failed and is tried again. */
export function noteStarts(store: MCPStore, out: Output): void {
  const timers = new Map<string, NodeJS.Timeout>();
  store.on('state', ({ service, endpoint, status, attempt }) => {
    clearTimeout(timers.get(service));
    timers.delete(service);
    if (status !== 'starting') return;
    const downloads = DOWNLOADERS.test(endpoint) && (attempt ?? 1) === 1;
    const text = downloads
      ? `${service}: starting; ${endpoint} may be downloading it, which can take a while the first time …`
      : `${service}: still starting …`;
    timers.set(service, setTimeout(() => out.note(text), downloads ? SOON_MS : LATER_MS).unref());
  });
}
