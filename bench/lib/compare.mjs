/** Knows how a row compares clients: connect all, see that each answers rightly, warm up, then measure in pairs. */

import { NoBuild } from '../clients/store.mjs';
import { fitting, inFlight, measured, oneAtATime } from './load.mjs';
import { figure, paired } from './paired.mjs';

async function connected(clients, probe, problems) {
  const out = [];
  for (const client of clients) {
    try {
      await client.connect();
      const text = (await client.call(probe.tool, probe.args)).content[0].text;
      if (!probe.good(text)) throw new Error(`wrong answer to ${probe.tool}: ${text.slice(0, 80)}`);
      out.push(client);
    } catch (error) {
      // Without the product the floor and its peers are still worth a look; without them there is nothing to compare.
      if (client.name === 'floor' && !(error instanceof NoBuild)) throw error;
      problems.push(`${client.name}: ${why(error)}`);
      await Promise.resolve(client.close()).catch(() => undefined);
    }
  }
  return out;
}

/**
 * @param ctx - see row.mjs
 * @param clients - `{ name, connect, call, close }`
 * @param options.width - calls in flight; 1 times each call
 * @param options.probe - one call and what its text must be
 * @param options.args - gives the arguments of a call; the probe's by default
 * @param options.slice - another way to run a slice, given the client; its result needs `calls` and what is compared
 */
export async function compare(ctx, clients, { width = 1, probe, args = probe.args, sliceMs = ctx.sliceMs, slice }) {
  const problems = [];
  const wanted = clients.filter(({ name }) => ctx.subjects === undefined || ctx.subjects.includes(name));
  const ready = await connected(wanted, probe, problems);
  try {
    const subjects = [];
    for (const client of ready) {
      const call = () => client.call(probe.tool, args);
      if (slice) {
        for (let i = 0; i < (ctx.quick ? 1 : 3); i++) await slice(client);
        subjects.push({ name: client.name, slice: () => slice(client) });
        continue;
      }
      const count = await fitting(call, width, sliceMs, ctx.warmUpMs);
      const run = width === 1 ? () => oneAtATime(call, count) : () => measured(() => inFlight(call, width, count));
      subjects.push({ name: client.name, slice: run });
    }
    return { all: await paired(subjects, ctx), problems };
  } finally {
    await Promise.all(ready.map((client) => client.close()));
  }
}

/** A row that measures the store alone: without a build, or when it fails, the table says so in its place. */
export const storeAlone = (run) => (ctx) =>
  run(ctx).catch((error) => ({ figures: {}, cells: {}, checks: [], problems: [`mcpstore: ${why(error)}`] }));

const why = (error) => (error instanceof NoBuild ? error.message : (error.stack ?? error));

/** More and shorter rounds, for what swings from one moment to the next: the interval narrows with their number. */
export const often = (ctx) => (ctx.quick ? ctx : { ...ctx, rounds: Math.max(ctx.rounds, 41), sliceMs: 60 });

/** The figures of every subject, by name and key, for the JSON file. */
export function figures(all, keys) {
  return Object.fromEntries(
    Object.keys(all).map((name) => [name, Object.fromEntries(keys.map((key) => [key, figure(all, name, key)]))]),
  );
}

/** What the table shows of every subject. */
export function cells(all, show) {
  return Object.fromEntries(
    Object.keys(all).map((name) => [name, show((key) => figure(all, name, key)?.median, all[name])]),
  );
}

const digits = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);
export const number = (value) => (value === undefined ? '' : value.toFixed(digits(Math.abs(value))));
export const perSecond = (value) => (value >= 10_000 ? `${number(value / 1000)}k/s` : `${number(value)}/s`);
