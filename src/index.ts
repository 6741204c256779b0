/** The complete public surface of the package. */

export type { AlertCondition, AlertLevel, AlertRule, HealthMetric } from './alert-rules.js';
export { ALERT_RULES } from './alert-rules.js';
export type {
  AskContext,
  AskHandlers,
  CallHandlers,
  ElicitationHandler,
  ElicitationResult,
  FormElicitation,
  Roots,
  SamplingHandler,
  SamplingRequest,
  SamplingResult,
  UrlElicitation,
} from './asking.js';
export type { AuthOptions } from './auth-options.js';
export type { BatchCall, BatchEntry, BatchOptions, BatchResult, BatchTotals } from './batch.js';
export type { BenchmarkResult } from './benchmark/benchmark.js';
export { PerformanceBenchmark } from './benchmark/benchmark.js';
export type { BenchmarkRunOptions } from './benchmark/plan.js';
export type { LatencyBucket } from './benchmark/sample.js';
export type {
  CacheMode,
  CallRecord,
  CallResult,
  CallToolResult,
  FallbackMark,
  FallbackSource,
  Outcome,
  Progress,
} from './call.js';
export { fallbackOf, textOf } from './call.js';
export type { CallBatch, CallBatchOptions } from './call-batch.js';
export type { CallToolOptions, RequestLimits } from './call-options.js';
export type { ToolInfo } from './catalog/tool.js';
export type { AgentConfig, ConfigDocument, ForeignKey, InputDefinition, ServiceConfig } from './config/definition.js';
export type { ApprovalOptions, FindConfigOptions, FoundConfig } from './config/find.js';
export { approveConfig, findConfig, isConfigApproved } from './config/find.js';
export { loadConfig } from './config/load.js';
export type { Inputs } from './configured.js';
export type { AuthorizationRequest, OnAuthorize } from './connection/auth.js';
export type { ServerObject, ServerSource } from './connection/memory.js';
export type { FormContent } from './elicitation.js';
export { elicitationProblem } from './elicitation.js';
export type { PoolStats } from './endpoint/pool-stats.js';
export type { ErrorCode, Executed, StoreErrorFields } from './errors.js';
export { ERROR_CODES, isStoreError, StoreError } from './errors.js';
export type { Logger, MemoryEvent, ServiceStatus, StoreEventName, StoreEvents } from './events.js';
export type { Chain, ChainPart } from './flow/chain.js';
export type { FlowPlan, PlannedStep } from './flow/plan.js';
export type {
  ChainStep,
  FlowCondition,
  FlowEntry,
  FlowPath,
  FlowResult,
  FlowRunOptions,
  FlowState,
  StepArguments,
  StepOptions,
  StepRetry,
  StepStatus,
  WorkflowStep,
  WorkflowSteps,
} from './flow/steps.js';
export type { Workflow } from './flow/workflow.js';
export { planWorkflow } from './flow/workflow.js';
export type { Lease } from './lease.js';
export type { MemoryMonitor, MemoryStats } from './memory.js';
export type { ObjectPoolOptions, ObjectPoolStats } from './object-pool.js';
export { ObjectPool } from './object-pool.js';
export type { Alert, Alerts } from './observe/alerts.js';
export type { CallStats } from './observe/counter.js';
export type { ErrorCounts, ErrorStats } from './observe/error-counts.js';
export type { HistoryEntry, HistoryFilter } from './observe/history-entry.js';
export type { ChildMemory, FigureSummary, MemorySample, MemorySummary } from './observe/memory-figures.js';
export type { MemoryStep } from './observe/memory-policy.js';
export type { Metrics } from './observe/metrics.js';
export type { BatchStats, ServiceStats } from './observe/stats.js';
export type { ServiceUsage, ToolUsage, Usage, UsageReport } from './observe/usage.js';
export type { WebhookOptions } from './observe/webhook.js';
export type { OpenOptions } from './open-options.js';
export type {
  BalanceStrategy,
  BenchmarkOptions,
  CallOptionsConfig,
  ConnectionPoolOptions,
  EndpointOptions,
  MemoryOptions,
  MonitoringOptions,
  OptionSource,
  PerformanceOptions,
  ResolvedPerformance,
  ResultCacheOptions,
  RetryOptions,
  ServiceOptions,
  ToolFallback,
  ToolPolicy,
} from './options.js';
export type { ChangeOptions, ServiceConfigs } from './registry.js';
export type { Scope } from './scope.js';
export type { ListOptions, ServiceProblem } from './scope-catalog.js';
export type { Health, SystemHealth } from './scope-health.js';
export type { History, HistoryPage, HistoryQuery, UsageOptions } from './scope-history.js';
export type { CacheFilter, CacheStats } from './service/cache.js';
export type { ServiceHealth } from './service-health.js';
export type { EndpointInfo, ServiceInfo } from './service-info.js';
export type { LoginOptions, SignInStatus } from './sign-ins.js';
export { MCPStore } from './store.js';
export type { StoreStats } from './store-stats.js';
