"""A request is written out in full before the run, so that sending it costs next to nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadgen.workloads.arrival import Arrival
from loadgen.workloads.corpus import Prompt
from loadgen.workloads.mixes import TRANSLATION
from shared.domain.task import Promise
from shared.scheduling.step_time import EngineProfile
from shared.tasks import TASKS
from shared.tasks.fim import fim_template_for

BATCH: Final = "batch"
_TASKS_ROUTE: Final = "/v1/tasks"
_COMPLETIONS_ROUTE: Final = "/v1/completions"
_CODE_LANGUAGE: Final = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One arrival, ready to be sent; `kind` and `promise` are the truth it is judged by.

    `wanted_s` is how long after sending the client still wants it; `hangs_up` whether it closes
    the connection then, or leaves it to the next request of its session to replace this one.
    """

    at_s: float
    kind: str
    tenant: str
    promise: Promise
    path: str
    headers: Mapping[str, str]
    body: bytes
    wanted_s: float | None
    hangs_up: bool
    alone_s: float

    @property
    def is_detached(self) -> bool:
        """Does it go on when the connection is gone?"""
        return self.path == _TASKS_ROUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How all requests of a run are asked. `keys` go round the tenants; `alone` is the idle engine
    against which it is judged whether a cancelled request could have been finished. Who sends no
    suffix renders the model's own template around the cursor, as editors do."""

    model: str
    alone: EngineProfile
    keys: Sequence[str] = field(default=(), repr=False)
    declares_kind: bool = False
    ignores_eos: bool = True
    sends_suffix: bool = True

    def ask(self, arrival: Arrival, prompt: Prompt) -> Request:
        kind = BATCH if arrival.batch else arrival.kind
        left_s = None if arrival.cancel_at_s is None else arrival.cancel_at_s - arrival.at_s
        return Request(
            at_s=arrival.at_s,
            kind=kind,
            tenant=arrival.tenant,
            promise=TASKS[kind].promise,
            path=arrival.route,
            headers=self._headers(arrival, kind),
            body=json.dumps(self._body(arrival, kind, prompt)).encode(),
            wanted_s=left_s,
            hangs_up=left_s is not None and not arrival.superseded,
            alone_s=self.alone.alone_s(arrival.prompt_tokens, arrival.output_tokens),
        )

    def _headers(self, arrival: Arrival, kind: str) -> Mapping[str, str]:
        headers = {"content-type": "application/json"}
        if self.keys:
            tenant = int(arrival.tenant.rpartition("-")[2]) - 1
            headers["authorization"] = f"Bearer {self.keys[tenant % len(self.keys)]}"
        if arrival.session is not None:
            headers["x-cato-session"] = arrival.session
        # Nobody can tell from a text that its writer does not wait.
        if self.declares_kind or kind == BATCH:
            headers["x-cato-task"] = kind
        return headers

    def _body(self, arrival: Arrival, kind: str, prompt: Prompt) -> Mapping[str, object]:
        asked = {
            "model": self.model,
            "max_tokens": arrival.output_tokens,
            "seed": arrival.seed,
            **({"ignore_eos": True} if self.ignores_eos else {}),
        }
        if arrival.route == _TASKS_ROUTE:
            return {**asked, **_task(arrival, kind, prompt)}
        streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
        if arrival.route == _COMPLETIONS_ROUTE:
            return {**streamed, **self._cursor(prompt.text, prompt.suffix)}
        messages = prompt.messages or ({"role": "user", "content": prompt.text},)
        return {**streamed, "messages": messages}

    def _cursor(self, text: str, suffix: str | None) -> Mapping[str, str]:
        if suffix is None:
            return {"prompt": text}
        if self.sends_suffix:
            return {"prompt": text, "suffix": suffix}
        return {"prompt": fim_template_for(self.model).render(text, suffix)}


def _task(arrival: Arrival, kind: str, prompt: Prompt) -> Mapping[str, object]:
    task = {"kind": kind, "code": prompt.code or prompt.text, "language": _CODE_LANGUAGE}
    if arrival.kind == TRANSLATION and arrival.language is not None:
        return {**task, "target_language": arrival.language}
    return task
