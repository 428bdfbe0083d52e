"""What an operator can set about a classifier."""

from pydantic import Field, field_validator

from services.classifier.classifiers import CLASSIFIERS
from shared.runtime.settings import ServiceSettings


class ClassifierSettings(ServiceSettings):
    classifier: str = Field(default="words", description=f"one of {', '.join(CLASSIFIERS)}")

    @field_validator("classifier")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in CLASSIFIERS:
            raise ValueError(f"expected one of {', '.join(CLASSIFIERS)}")
        return name
