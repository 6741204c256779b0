/** Knows how results are shown: a table in the terminal, a table in Markdown, and the machine that they are from. */

import { cpus, totalmem } from 'node:os';

const COLUMNS = ['floor', 'v1', 'v2', 'mcpstore'];

export function machine() {
  const processors = cpus();
  return {
    cpu: processors[0].model.trim(),
    cores: processors.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    date: new Date().toISOString().slice(0, 10),
  };
}

const exact = (value) => (value >= 1_000 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(3)));

function checkCells({ label, op, limit, unit, median, low, high, met }) {
  const must = `${label} ${op} ${exact(limit)}${unit}`;
  if (met === undefined) return [must, '–', '–'];
  return [must, `${exact(median)}${unit} [${exact(low)}–${exact(high)}]`, met ? 'yes' : 'no'];
}

/** Lines of cells: a row of the bench takes a line for each thing that it must reach. */
function lines(results) {
  return results.flatMap(({ what, cells, checks }) =>
    (checks.length > 0 ? checks : [undefined]).map((check, i) => [
      i === 0 ? what : '',
      ...(check ? checkCells(check) : ['–', '–', '–']),
      ...COLUMNS.map((name) => (i === 0 ? (cells[name] ?? '') : '')),
    ]),
  );
}

const HEAD = ['what', 'must reach', 'measured [95 %]', 'met', 'floor', 'SDK v1', 'SDK v2', 'mcpstore'];

export function terminal(results) {
  const all = [HEAD, ...lines(results)];
  const widths = HEAD.map((_, i) => Math.max(...all.map((cells) => cells[i].length)));
  const text = all.map((cells) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  text.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('  '));
  return text.join('\n');
}

export function markdown(results, of) {
  const rows = [HEAD, HEAD.map(() => '---'), ...lines(results)].map((cells) => `| ${cells.join(' | ')} |`);
  const where = `${of.cpu}, ${of.cores} cores, Node ${of.node.slice(1)}, ${of.platform}, ${of.date}`;
  return `${rows.join('\n')}\n\nMeasured on ${where}, with \`npm run bench\`: medians, and of ratios the 95 % interval.`;
}
