"""Dashboards, alerts and traces live by names, so every name is written down here and only here.

Metrics carry few labels with few values. What identifies one task (its id, its session, the text
of an error) belongs to spans.
"""

from typing import Final

# Metrics of the GenAI semantic conventions
TIME_TO_FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"
REQUEST_DURATION: Final = "gen_ai.server.request.duration"
TIME_PER_OUTPUT_TOKEN: Final = "gen_ai.server.time_per_output_token"

# Metrics of a task's way through the house
TASKS: Final = "cato.tasks"
REJECTED: Final = "cato.requests.rejected"
CLAMPED_PROMISES: Final = "cato.promises.clamped"
SMALL_FIRST: Final = "cato.small_first.requests"
QUEUE_DURATION: Final = "cato.queue.duration"
DEADLINE_SLACK: Final = "cato.deadline.slack"
DISPATCH_DELAY: Final = "cato.dispatch.delay"
FEED_DURATION: Final = "cato.feed.duration"
ATTAINMENT: Final = "cato.attainment"
GOODPUT: Final = "cato.goodput"
ATTEMPTS: Final = "cato.attempts"
WASTED_GPU: Final = "cato.gpu.wasted"
PREDICTION_ERROR: Final = "cato.prediction.error"
INPUT_TOKENS: Final = "cato.tokens.input"
OUTPUT_TOKENS: Final = "cato.tokens.output"

# Metrics of what the house holds now
BACKLOG_SECONDS: Final = "cato.backlog.seconds"
BACKLOG_WAIT: Final = "cato.backlog.wait"
QUEUED_TASKS: Final = "cato.tasks.queued"
RUNNING_TASKS: Final = "cato.tasks.running"
QUEUED_BYTES: Final = "cato.queued.size"
CONNECTIONS: Final = "cato.connections"
WORKERS: Final = "cato.workers"
WORKERS_NEEDED: Final = "cato.workers.needed"
SLOTS: Final = "cato.slots"
ENGINE_RUNNING: Final = "cato.engine.running"
ENGINE_WAITING: Final = "cato.engine.waiting"
ENGINE_KV_TOKENS: Final = "cato.engine.kv_tokens"
ENGINE_STEP: Final = "cato.engine.step"

# Metrics of the machinery
CLOCK_OFFSET: Final = "cato.clock.offset"
STEP_DURATION: Final = "cato.scheduler.step.duration"
FALLBACKS: Final = "cato.scheduler.fallbacks"
LEADERSHIP: Final = "cato.scheduler.leads"
REBUILDS: Final = "cato.scheduler.rebuilds"
EXPIRED_LEASES: Final = "cato.leases.expired"
STALE_FENCES: Final = "cato.fences.stale"
DEAD_LETTERS: Final = "cato.dead_letters"
REFUSED_PUBLICATIONS: Final = "cato.publications.refused"
DROPPED_SPANS: Final = "cato.spans.dropped"

# Labels of metrics; the same words are attributes of spans
KIND: Final = "cato.task.kind"
LATENCY_CLASS: Final = "cato.class"
OUTCOME: Final = "cato.outcome"
RESULT: Final = "cato.attempt.result"
HOP: Final = "cato.hop"  # the span after which slack was measured
REASON: Final = "cato.reason"
STATE: Final = "cato.state"
MODEL: Final = "gen_ai.request.model"
OPERATION: Final = "gen_ai.operation.name"
ERROR_TYPE: Final = "error.type"
DESTINATION: Final = "messaging.destination.name"

# Attributes of spans only
TASK_ID: Final = "cato.task.id"
REQUEST_ID: Final = "cato.request.id"
TENANT: Final = "cato.tenant"
WORKER: Final = "cato.worker"
FENCE: Final = "cato.fence"
STEP: Final = "cato.chain.step"
SLACK_S: Final = "cato.slack_s"
PROMISED_TTFT_S: Final = "cato.promise.ttft_s"
PROMISED_TPOT_S: Final = "cato.promise.tpot_s"
PROMISED_E2E_S: Final = "cato.promise.e2e_s"
PROMISE_KEPT: Final = "cato.promise.kept"
TTFT_S: Final = "gen_ai.response.time_to_first_chunk"
E2E_S: Final = "cato.e2e_s"
PREDICTED_PROMPT_TOKENS: Final = "cato.predicted.prompt_tokens"
PREDICTED_OUTPUT_TOKENS: Final = "cato.predicted.output_tokens"
USED_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USED_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
SYNTHETIC: Final = "cato.synthetic"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"

# Spans, in the order in which a task earns them; all of them are children of the first
SPAN_TASK: Final = "task"  # ingress: receipt -> last byte, or refusal
SPAN_ACCEPT: Final = "accept"  # ingress: receipt -> Kafka acknowledged the task
SPAN_CLASSIFY: Final = "classify"  # classifier: published by the ingress -> classified
SPAN_QUEUE: Final = "queue"  # scheduler: received -> claimed or given up
SPAN_DISPATCH: Final = "dispatch"  # worker: claimed by the scheduler -> received by the worker
SPAN_FEED: Final = "feed"  # worker: received -> handed to the engine
SPAN_ENGINE: Final = "engine"  # worker: handed to the engine -> last token
SPAN_STEP: Final = "step"  # scheduler: a step of a chain could begin -> its last token
SPAN_FIRST_BYTE: Final = "first_byte"  # ingress: first token left the worker -> written
SPAN_LAST_BYTE: Final = "last_byte"  # ingress: last token left the worker -> written
