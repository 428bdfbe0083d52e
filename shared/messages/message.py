"""A message is a past-tense fact with one writer; it only ever gains optional fields."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Base of every record on Kafka: JSON, one class a topic, unknown fields tolerated.

    `version` grows when a reader of the previous version would misread a record.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_topic: ClassVar[str]
    version: int = 1

    def topic(self) -> str:
        return self.base_topic

    def key(self) -> str | None:
        """Records of one key stay in order, on one partition."""
        return None

    def partition(self) -> int | None:
        """The addressed partition, where the topic is addressed and not keyed."""
        return None

    def headers(self) -> dict[str, str]:
        """Facts that a reader wants without parsing the record."""
        return {}

    def encode(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Raises pydantic.ValidationError when the bytes are not such a message."""
        return cls.model_validate_json(value)
