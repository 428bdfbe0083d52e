"""The plain baseline: which door a request came through says what it is."""

from services.classifier.classifiers.verdict import Verdict, as_named
from shared.messages.body import Body


class Endpoint:
    """Right for editors that complete and people who chat; blind to everything else."""

    def classify(self, body: Body, hint: str | None) -> Verdict:
        if hint is not None:
            return as_named(hint)
        match body.route:
            case "completions":
                return Verdict(kind="completion", confidence=0.5)
            case "tasks" if body.target_language:
                return Verdict(kind="translation", confidence=0.9)
            case "tasks":
                return Verdict(kind="generation", confidence=0.2)
            case _:
                return Verdict(kind="chat", confidence=0.3)
