"""All keys of one queue share a hash tag, so that they live in one slot of a Redis Cluster."""

from shared.domain.task import LatencyClass, TaskId


class QueueKeys:
    def __init__(self, model: str) -> None:
        self._tag = f"{{cato:{model}}}"
        self.epoch = f"{self._tag}:epoch"
        self.leader = f"{self._tag}:leader"
        self.fence = f"{self._tag}:fence"
        self.seal = f"{self._tag}:seal"
        self.facts = f"{self._tag}:facts"
        self.leases = f"{self._tag}:leases"
        self.endings = f"{self._tag}:endings"
        self.heaps = tuple(self.heap(latency_class) for latency_class in LatencyClass)

    def heap(self, latency_class: LatencyClass) -> str:
        return f"{self._tag}:heap:{latency_class}"

    def body(self, task_id: TaskId) -> str:
        return f"{self._tag}:body:{task_id}"

    def ended(self, task_id: TaskId) -> str:
        return f"{self._tag}:ended:{task_id}"

    def barred(self, task_id: TaskId) -> str:
        return f"{self._tag}:barred:{task_id}"

    def answers(self, chain: TaskId) -> str:
        return f"{self._tag}:answers:{chain}"
