/**
 * Row: objects from an `ObjectPool` against new ones, a hundred in use at a time: the record that every call has, and a
 * buffer of 64 KB that is written to at both ends. Decides where the store uses a pool inside: only where that is
 * cheaper, its 95 % interval included.
 */

import { loadInternal, loadStore } from '../clients/store.mjs';
import { number, storeAlone } from '../lib/compare.mjs';
import { measured } from '../lib/load.mjs';
import { check, figure, paired, ratio } from '../lib/paired.mjs';

const IN_USE = 100;
const BUFFER_BYTES = 65_536;

/** CPU in nanoseconds of one object: taken, written to, given back, its share of the collections included. */
async function cost(objects, { take, give, write }) {
  const used = new Array(IN_USE);
  const { cpuUs } = await measured(async () => {
    for (let begun = 0; begun < objects; begun += IN_USE) {
      for (let i = 0; i < IN_USE; i++) {
        used[i] = take();
        write(used[i], i);
      }
      for (let i = 0; i < IN_USE; i++) give(used[i]);
    }
    return objects;
  });
  return cpuUs * 1000;
}

/** Every field of a record as it was made, written as cheaply as can be. */
function emptied(record) {
  record.scope = '';
  record.service = '';
  record.tool = '';
  record.startedAt = 0;
  record.queueMs = 0;
  record.connectMs = 0;
  record.callMs = 0;
  record.totalMs = 0;
  record.endpoint = undefined;
  record.attempts = 0;
  record.cache = 'off';
  record.asked = 0;
  record.outcome = 'not_sent';
  record.code = undefined;
  record.executed = 'no';
}

async function run(ctx) {
  const { ObjectPool } = await loadStore();
  const { NewRecord } = await loadInternal('call.js');
  const records = {
    make: () => new NewRecord('', 'bench', 'echo', 0),
    reset: emptied,
    write: (record, i) => {
      record.startedAt = i;
      record.outcome = 'ok';
    },
  };
  // Nothing is wiped: who wrote a buffer knows how far.
  const buffers = {
    make: () => Buffer.allocUnsafeSlow(BUFFER_BYTES),
    reset: undefined,
    write: (buffer, i) => {
      buffer[0] = i;
      buffer[BUFFER_BYTES - 1] = i;
    },
  };
  const fresh = ({ make, write }) => ({ take: make, give: () => {}, write });
  const pooled = ({ make, reset, write }) => {
    const pool = new ObjectPool(make, { maxSize: IN_USE, ...(reset && { reset }) });
    return { take: () => pool.acquire(), give: (object) => pool.release(object), write };
  };
  const [manyRecords, manyBuffers] = ctx.quick ? [20_000, 2_000] : [500_000, 20_000];
  const subject = (name, kind) => {
    const [record, buffer] = [kind(records), kind(buffers)];
    const slice = async () => ({
      recordNs: await cost(manyRecords, record),
      bufferNs: await cost(manyBuffers, buffer),
    });
    return { name, slice };
  };
  const subjects = [subject('new', fresh), subject('pooled', pooled)];
  for (const { slice } of subjects) for (let i = 0; i < 2; i++) await slice();
  const all = await paired(subjects, ctx);
  const of = (name, key) => number(figure(all, name, key).median);
  return {
    figures: Object.fromEntries(
      Object.keys(all).map((name) => [
        name,
        { recordNs: figure(all, name, 'recordNs'), bufferNs: figure(all, name, 'bufferNs') },
      ]),
    ),
    cells: {
      floor: `new: record ${of('new', 'recordNs')} ns, buffer ${of('new', 'bufferNs')} ns`,
      mcpstore: `pooled: record ${of('pooled', 'recordNs')} ns, buffer ${of('pooled', 'bufferNs')} ns`,
    },
    // The store makes a record for each call, and no large buffer: a pool inside would have to make the first cheaper.
    checks: [
      check('record, pooled ÷ new', ratio(all, 'pooled', 'new', 'recordNs'), '≥', 1),
      check('64 KB buffer, pooled ÷ new', ratio(all, 'pooled', 'new', 'bufferNs'), '<', 1),
    ],
    problems: [],
  };
}

export const row = {
  id: 'object-pool',
  what: 'object pool: pooled ÷ new, CPU an object',
  run: storeAlone(run),
};
