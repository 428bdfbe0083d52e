"""What is counted and measured; every instrument is declared once, here.

Until `use_service` has been called recording costs next to nothing and goes nowhere. Labels come
from closed sets only: kinds, classes, outcomes, models the house serves. What a client wrote
passes `known` first.
"""

from collections.abc import Collection, Mapping
from typing import Final

from opentelemetry import metrics

from shared.telemetry import names

TTFT_BUCKETS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
DURATION_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
TPOT_BUCKETS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
SHORT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0)
# Histograms hold no negative values: what is late falls into the first bucket.
SLACK_BUCKETS: Final = (*(0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0),)
RATIO_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 10.0)

_meter = metrics.get_meter("cato")


def known(value: str, among: Collection[str]) -> str:
    """A label for a value that came from outside: itself where the house knows it."""
    return value if value in among else "other"


def _histogram(
    name: str, said: str, buckets: tuple[float, ...], unit: str = "s"
) -> metrics.Histogram:
    return _meter.create_histogram(
        name, unit, said, explicit_bucket_boundaries_advisory=list(buckets)
    )


time_to_first_token = _histogram(
    names.TIME_TO_FIRST_TOKEN, "Receipt to first content, across all hops.", TTFT_BUCKETS
)
request_duration = _histogram(
    names.REQUEST_DURATION, "Receipt to last content, across all hops.", DURATION_BUCKETS
)
time_per_output_token = _histogram(
    names.TIME_PER_OUTPUT_TOKEN, "Mean time of every token after the first.", TPOT_BUCKETS
)

tasks = _meter.create_counter(names.TASKS, "{task}", "Accepted tasks that ended.")
rejected = _meter.create_counter(names.REJECTED, "{request}", "Requests that were never accepted.")
clamped_promises = _meter.create_counter(
    names.CLAMPED_PROMISES, "{promise}", "Promises that clients asked for and tenants may not have."
)
small_first = _meter.create_counter(
    names.SMALL_FIRST, "{request}", "Completions asked of two models, by who answered and why."
)
queue_duration = _histogram(
    names.QUEUE_DURATION, "Time in the deadline heap.", (0.001, *DURATION_BUCKETS)
)
deadline_slack = _histogram(
    names.DEADLINE_SLACK, "What was left of the promise after each hop.", SLACK_BUCKETS
)
dispatch_delay = _histogram(
    names.DISPATCH_DELAY, "Claimed by the scheduler to received by the worker.", SHORT_BUCKETS
)
feed_duration = _histogram(
    names.FEED_DURATION,
    "Received by the worker to handed to its engine.",
    (0.001, *DURATION_BUCKETS),
)
attainment = _meter.create_gauge(
    names.ATTAINMENT, "1", "Share of the last minute's tasks that kept their whole promise."
)
goodput = _meter.create_gauge(
    names.GOODPUT, "{task}/s", "Tasks a second that kept their whole promise, over a minute."
)
attempts = _meter.create_counter(names.ATTEMPTS, "{attempt}", "Starts on a worker that are over.")
wasted_gpu = _meter.create_counter(
    names.WASTED_GPU, "s", "Engine time spent on answers that nobody could use."
)
prediction_error = _histogram(
    names.PREDICTION_ERROR, "Output tokens per predicted token.", RATIO_BUCKETS, "1"
)
input_tokens = _meter.create_counter(names.INPUT_TOKENS, "{token}", "Prompt tokens read.")
output_tokens = _meter.create_counter(names.OUTPUT_TOKENS, "{token}", "Tokens generated.")

backlog_seconds = _meter.create_gauge(
    names.BACKLOG_SECONDS, "s", "Predicted work queued, in GPU-seconds; the autoscaling signal."
)
backlog_wait = _meter.create_gauge(names.BACKLOG_WAIT, "s", "Predicted wait of a newcomer.")
queued_tasks = _meter.create_gauge(names.QUEUED_TASKS, "{task}", "Tasks in the deadline heap.")
running_tasks = _meter.create_gauge(names.RUNNING_TASKS, "{task}", "Tasks that hold a lease.")
queued_bytes = _meter.create_gauge(names.QUEUED_BYTES, "By", "Bodies of queued tasks.")
connections = _meter.create_gauge(names.CONNECTIONS, "{client}", "Clients that wait for an answer.")
workers = _meter.create_gauge(names.WORKERS, "{worker}", "Workers by state.")
workers_needed = _meter.create_gauge(
    names.WORKERS_NEEDED, "{worker}", "Workers that would keep the promise; scale to this many."
)
slots = _meter.create_gauge(names.SLOTS, "{task}", "Tasks that all workers can run at once.")
engine_running = _meter.create_gauge(names.ENGINE_RUNNING, "{task}", "Tasks inside the engine.")
engine_waiting = _meter.create_gauge(
    names.ENGINE_WAITING, "{task}", "Tasks held back by the feeder."
)
engine_kv_tokens = _meter.create_gauge(names.ENGINE_KV_TOKENS, "{token}", "Tokens in the KV cache.")
engine_step = _meter.create_gauge(names.ENGINE_STEP, "s", "Moving average of an engine step.")

clock_offset = _meter.create_gauge(
    names.CLOCK_OFFSET, "s", "Redis' time minus this machine's, at the smallest round trip."
)
step_duration = _histogram(
    names.STEP_DURATION, "One read, plan and apply of the scheduler.", SHORT_BUCKETS
)
fallbacks = _meter.create_counter(
    names.FALLBACKS,
    "{fallback}",
    "Questions to policy and predictions that were answered by nonsense or an exception, so that "
    "the earliest deadline decided.",
)
leadership = _meter.create_gauge(names.LEADERSHIP, "", "1 where this scheduler leads its pool.")
rebuilds = _meter.create_counter(names.REBUILDS, "{rebuild}", "Heaps rebuilt from Kafka.")
expired_leases = _meter.create_counter(
    names.EXPIRED_LEASES, "{lease}", "Attempts taken back from workers that fell silent."
)
stale_fences = _meter.create_counter(
    names.STALE_FENCES, "{record}", "Records of attempts that no longer speak for their task."
)
dead_letters = _meter.create_counter(
    names.DEAD_LETTERS,
    "{record}",
    "Records that nobody could read, and tasks redelivered too often.",
)
refused_publications = _meter.create_counter(
    names.REFUSED_PUBLICATIONS, "{record}", "Records that Kafka did not take."
)
dropped_spans = _meter.create_counter(
    names.DROPPED_SPANS, "{span}", "Spans lost because the exporter could not keep up."
)

# The labels that each may carry; dashboards and alerts rely on them. Those not named carry none.
LABELS: Final[Mapping[str, frozenset[str]]] = {
    "time_to_first_token": frozenset({names.KIND, names.OPERATION, names.MODEL, names.ERROR_TYPE}),
    "request_duration": frozenset({names.KIND, names.OPERATION, names.MODEL, names.ERROR_TYPE}),
    "time_per_output_token": frozenset({names.KIND, names.OPERATION, names.MODEL}),
    "tasks": frozenset({names.KIND, names.LATENCY_CLASS, names.MODEL, names.OUTCOME}),
    "rejected": frozenset({names.ERROR_TYPE, names.MODEL, names.REASON}),
    "clamped_promises": frozenset({names.KIND}),
    "small_first": frozenset({names.MODEL, names.REASON}),
    "queue_duration": frozenset({names.KIND, names.LATENCY_CLASS, names.MODEL}),
    "deadline_slack": frozenset({names.HOP, names.KIND, names.LATENCY_CLASS}),
    "attainment": frozenset({names.KIND, names.MODEL}),
    "goodput": frozenset({names.KIND, names.MODEL}),
    "attempts": frozenset({names.KIND, names.RESULT}),
    "prediction_error": frozenset({names.KIND}),
    "input_tokens": frozenset({names.KIND}),
    "output_tokens": frozenset({names.KIND}),
    "backlog_seconds": frozenset({names.LATENCY_CLASS, names.MODEL}),
    "backlog_wait": frozenset({names.LATENCY_CLASS, names.MODEL}),
    "queued_tasks": frozenset({names.LATENCY_CLASS, names.MODEL}),
    "fallbacks": frozenset({names.REASON}),
    "running_tasks": frozenset({names.MODEL}),
    "queued_bytes": frozenset({names.MODEL}),
    "workers": frozenset({names.MODEL, names.STATE}),
    "workers_needed": frozenset({names.MODEL}),
    "slots": frozenset({names.MODEL}),
    "leadership": frozenset({names.MODEL}),
    "rebuilds": frozenset({names.MODEL}),
    "stale_fences": frozenset({names.DESTINATION}),
    "dead_letters": frozenset({names.DESTINATION, names.REASON}),
    "refused_publications": frozenset({names.DESTINATION}),
}
