"""What an operator can set about a classifier."""

from pydantic import field_validator

from services.classifier.classifiers import CLASSIFIERS
from shared.runtime.settings import ServiceSettings


class ClassifierSettings(ServiceSettings):
    classifier: str = "words"

    @field_validator("classifier")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in CLASSIFIERS:
            raise ValueError(f"expected one of {', '.join(CLASSIFIERS)}")
        return name
