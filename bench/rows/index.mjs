/** The rows of the bench in the order in which they are shown; each is loaded when it runs. */

export const ROWS = {
  'stdio-single': 'stdio-single',
  'stdio-flight': 'stdio-flight',
  policies: 'policies',
  'http-flight': 'http-flight',
  cached: 'cached',
  batch: 'batch',
  'batch-modes': 'batch-modes',
  'results-64k': 'results',
  'results-1m': 'results',
  'two-processes': 'two-processes',
  'open-known': 'open-known',
  'many-services': 'many-services',
  spike: 'spike',
  reuse: 'reuse',
  'object-pool': 'object-pool',
  monitoring: 'monitoring',
  'memory-cache': 'memory',
  'memory-leak': 'memory',
};

export async function loadRow(id) {
  const { row, rows = [row] } = await import(`./${ROWS[id]}.mjs`);
  return rows.find((candidate) => candidate.id === id);
}
