/** Knows a benchmark's report as one HTML file: tables and charts, nothing loaded from elsewhere, no scripts. */

import { exact } from '../_util/exact.js';
import type { BenchmarkResult } from '../index.js';
import { type BenchReport, type ComparedRun, loadText } from './bench-report.js';

/** Markup; everything else is escaped where it is put into it. */
class Markup {
  constructor(readonly text: string) {}
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Whatever is not markup already becomes text, in elements and in quoted attributes. */
function html(parts: TemplateStringsArray, ...values: (Markup | readonly Markup[] | string | number)[]): Markup {
  const shown = values.map((value) =>
    value instanceof Markup
      ? value.text
      : Array.isArray(value)
        ? (value as readonly Markup[]).map(({ text }) => text).join('')
        : String(value).replace(/[&<>"']/g, (char) => ESCAPES[char]!),
  );
  return new Markup(parts.reduce((text, part, i) => text + part + (shown[i] ?? ''), ''));
}

/** The whole page. */
export function htmlReport(report: BenchReport): string {
  const { tool, at, machine, cache, results, comparison } = report;
  const style = new Markup(STYLE);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Benchmark of ${tool}</title>
<style>${style}</style>
</head>
<body>
<h1>Benchmark of ${tool}</h1>
<p>${at}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${machine.platform}; result cache ${cache ? 'as configured' : 'off'}.
Latencies in milliseconds, of calls that succeeded.</p>
${runTable(results)}
${comparison === undefined ? [] : compareTable(comparison.baselineAt, comparison.runs)}
${results.length > 1 ? sweepCharts(results) : []}
${results.map((result) => html`<h2>Latencies, ${loadText(result)}</h2>${bars(barsOf(result), 'calls by latency in ms')}`)}
</body>
</html>
`;
  return page.text;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): Markup {
  const cells = (row: readonly string[]): Markup[] => row.map((cell) => html`<td>${cell}</td>`);
  return html`<table><tr>${head.map((title) => html`<th>${title}</th>`)}</tr>${rows.map((row) => html`<tr>${cells(row)}</tr>`)}</table>`;
}

function runTable(results: readonly BenchmarkResult[]): Markup {
  const head = [
    ...['load', 'calls', 'calls/s', 'mean', 'min', 'p50', '95 % interval', 'p95', 'p99', 'max'],
    ...['errors', 'tool errors', 'success'],
  ];
  const rows = results.map((run) => {
    const codes = Object.entries(run.errorCodes).map(([code, count]) => `${code} ${count}`);
    return [
      loadText(run),
      String(run.iterations),
      ...[run.callsPerSecond, run.meanMs, run.minMs, run.p50Ms].map(exact),
      run.p50IntervalMs.map(exact).join('–'),
      ...[run.p95Ms, run.p99Ms, run.maxMs].map(exact),
      codes.length === 0 ? '0' : codes.join(', '),
      String(run.toolErrors),
      `${exact(100 * run.successRate)} %`,
    ];
  });
  return tableOf(head, rows);
}

function compareTable(at: string, runs: readonly ComparedRun[]): Markup {
  const head = ['load', 'p50 then', 'p50 now', 'p50, %', 'p99, %', 'calls/s, %', 'verdict'];
  const rows = runs.map((run) => [
    loadText(run),
    ...[run.baselineP50Ms, run.p50Ms, run.p50ChangePercent, run.p99ChangePercent].map(exact),
    exact(run.callsPerSecondChangePercent),
    run.slower ? 'slower' : 'ok',
  ]);
  return html`<h2>Against the baseline of ${at}</h2>${tableOf(head, rows)}`;
}

interface Bar {
  label: string;
  value: number;
}

function sweepCharts(results: readonly BenchmarkResult[]): Markup {
  const by = (key: 'callsPerSecond' | 'p99Ms'): Bar[] =>
    results.map((run) => ({ label: loadText(run), value: run[key] }));
  return html`<h2>By concurrency</h2>${bars(by('callsPerSecond'), 'calls/s')}${bars(by('p99Ms'), 'p99 in ms')}`;
}

function barsOf({ histogram }: BenchmarkResult): Bar[] {
  return histogram.map(({ fromMs, toMs, count }) => ({ label: `${exact(fromMs)}–${exact(toMs)}`, value: count }));
}

/** A horizontal bar for each value, the longest as wide as there is room; sizes in SVG units. */
function bars(list: readonly Bar[], title: string): Markup {
  const [row, left, room] = [20, 130, 560];
  const most = Math.max(0, ...list.map(({ value }) => value).filter(Number.isFinite));
  const drawn = list.map(({ label, value }, i) => {
    const width = most > 0 && Number.isFinite(value) ? (room * value) / most : 0;
    const [y, base] = [i * row, i * row + 14];
    return html`<text x="${left - 8}" y="${base}" text-anchor="end">${label}</text>
<rect x="${left}" y="${y + 2}" width="${width.toFixed(1)}" height="${row - 4}"></rect>
<text x="${(left + width + 6).toFixed(1)}" y="${base}">${exact(value)}</text>`;
  });
  const height = Math.max(1, list.length * row);
  return html`<figure><figcaption>${title}</figcaption>
<svg viewBox="0 0 780 ${height}" role="img" aria-label="${title}">${drawn}</svg></figure>`;
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .25rem .75rem .25rem 0; text-align: right; border-bottom: 1px solid #d5d9de; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
figure { margin: 1rem 0 }
svg { width: 100%; max-width: 780px; font-size: 12px }
rect { fill: #2f6fb3 }
@media (prefers-color-scheme: dark) { body { color: #e6e8eb; background: #15181c } text { fill: #e6e8eb } th, td { border-color: #3a4048 } }
`;
