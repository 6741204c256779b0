/** The page on performance has every name of the guide, names nothing that is not there, and its Chinese twin is its twin. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MCPStore } from '../../src/index.js';

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const [english, chinese] = [page('performance.md'), page('performance.zh-CN.md')];

/** Classes, functions, options and keys in the sample code of the guide. */
const GUIDE = `
  ConnectionPoolConfig connection_pool_config min_connections max_connections max_idle_time connection_timeout
  read_timeout write_timeout max_retries retry_delay health_check_interval health_check_timeout
  ConnectionManager conn_manager connection_cache connection_stats get_optimized_connection _is_connection_healthy ping
  _create_new_connection _get_service_connection _update_connection_stats created reused failed get_connection_stats
  cleanup_idle_connections last_used cleanup_worker cleanup_thread
  OptimizedBatchCaller batch_caller batch_size max_workers call_queue results_cache add_call cache_key execute_batch
  cached_results uncached_calls _execute_batch_chunk
  AsyncToolCaller async_caller max_concurrent semaphore executor call_tool_async batch_call_async close async_example
  ObjectPool factory max_size pool active_objects get_object return_object _reset_object reset get_stats pool_size
  ToolResult tool_name arguments result error execution_time result_factory result_pool optimized_call_tool
  MemoryMonitor memory_monitor threshold_mb threshold_bytes monitoring stats start_monitoring stop_monitoring
  _collect_memory_stats timestamp rss_mb vms_mb percent gc_objects _handle_high_memory _optimize_memory
  get_memory_summary current_rss_mb current_percent avg_rss_mb max_rss_mb
  PerformanceConfig apply_performance_config connection_pool_size default_batch_size max_concurrent_calls call_timeout
  enable_result_cache cache_size cache_ttl memory_threshold_mb gc_threshold enable_performance_monitoring
  monitoring_interval configure_connection_pool
  PerformanceBenchmark run_benchmark test_name test_func iterations errors avg_time min_time max_time total_time
  success_rate results print_results test_simple_call test_batch_call
  call_tool batch_call clear_cache
`
  .trim()
  .split(/\s+/);

const tables = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));

it('has every name of the guide', () => {
  const words = new Set(english.split('## Every name of the guide')[1]!.match(/\w+/g));
  expect(GUIDE.filter((name) => !words.has(name))).toEqual([]);
});

it('names no member of the store that is not there', async () => {
  const store = await MCPStore.open({ services: {}, stateDir: null });
  const named = [...new Set([...english.matchAll(/\bstore\.([a-z][A-Za-z]*)(?![\w_])/g)].map(([, name]) => name!))];
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !(name in store))).toEqual([]);
  await store.close();
});

it('has the same code and the same rows in both languages', () => {
  const code = (text: string): string[] =>
    [...text.matchAll(/^```[^\n]*\n(.*?)^```/gms)].map(([, block]) => block!.replace(/ \/\/ (?!→).*$/gm, ''));
  expect(code(chinese)).toEqual(code(english));
  const names = (cells: string[]): string[] => cells.map((cell) => (cell.match(/`[^`]+`/g) ?? []).join());
  expect(tables(chinese).map(names)).toEqual(tables(english).map(names));
});
