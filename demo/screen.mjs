/** Knows how the tour shows itself: rows that are rewritten on a terminal, plain lines elsewhere, colours where wanted. */

import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import picocolors from 'picocolors';

const terminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';

export const colors = picocolors.createColors(terminal && !process.env.NO_COLOR);

/** Rows that change until they are settled. Without a terminal only settled ones are printed. */
export class Rows {
  #rows = new Map();
  #drawn = 0;

  set(key, text, settled = false) {
    const known = this.#rows.get(key);
    if (known?.settled) return;
    this.#rows.set(key, { text, settled });
    if (terminal) this.#draw();
    else if (settled) line(text);
  }

  #draw() {
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    const rows = [...this.#rows.values()].map(({ text }) => `\x1b[2K${fitted(text)}\n`);
    this.#drawn = rows.length;
    process.stdout.write(up + rows.join(''));
  }
}

/** A row that wraps could not be rewritten. */
function fitted(text) {
  const columns = process.stdout.columns ?? 80;
  const plain = stripVTControlCharacters(text);
  return plain.length < columns ? text : plain.slice(0, columns - 1);
}

export function line(text = '') {
  process.stdout.write(`${text}\n`);
}

export function heading(text) {
  line(`\n${colors.bold(text)}`);
}

export function bar(done, total, width = 30) {
  const full = Math.round((width * Math.min(done, total)) / total);
  return `${colors.green('█'.repeat(full))}${colors.dim('░'.repeat(width - full))} ${done}/${total}`;
}

export function count(number) {
  return Math.round(number).toLocaleString('en-US');
}

export function ms(value) {
  return value < 10
    ? `${value.toFixed(2)} ms`
    : value < 10_000
      ? `${Math.round(value)} ms`
      : `${count(value / 1000)} s`;
}

/** @param perSecond - calls/s by service, '' for all: of the batch before anything was cached */
export function figures(stats, perSecond) {
  const head = ['service', 'calls', 'p50', 'p99', 'calls/s', 'created', 'reused', 'failed', 'cache hits'];
  const table = new Table({
    head,
    colAligns: ['left', ...head.slice(1).map(() => 'right')],
    style: { head: [], border: [] },
  });
  const connections = { created: 0, reused: 0, failed: 0 };
  const row = (name, calls, pool, rate) => [
    name,
    count(calls.calls),
    ms(calls.p50Ms),
    ms(calls.p99Ms),
    rate === undefined ? '–' : count(rate),
    count(pool.created),
    count(pool.reused),
    count(pool.failed),
    count(calls.cacheHits),
  ];
  for (const [name, calls] of Object.entries(stats.services).sort()) {
    const own = { created: 0, reused: 0, failed: 0 };
    for (const pool of Object.values(stats.connections[name] ?? {}))
      for (const key of Object.keys(own)) {
        own[key] += pool[key];
        connections[key] += pool[key];
      }
    table.push(row(name, calls, own, perSecond.get(name)));
  }
  table.push(row('total', stats.calls, connections, perSecond.get('')));
  return table.toString();
}
