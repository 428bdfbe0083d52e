"""Orchestrators hand secrets over as files, so that they appear in no environment."""

import os
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from pydantic_settings import SettingsError as UnreadableSetting


class SecretFiles(PydanticBaseSettingsSource):
    """`CATO_X_FILE` names the file that holds CATO_X, unless `x_file` is a setting of its own."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self._prefix = self.config.get("env_prefix", "")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        if f"{field_name}_file" in self.settings_cls.model_fields:
            return None, field_name, False
        variable = f"{self._prefix}{field_name}".upper()
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise UnreadableSetting(f"{variable} and {variable}_FILE are both set") from ValueError(
                "set one of them"
            )
        return self._read(path, variable), field_name, False

    def __call__(self) -> dict[str, str]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}

    def _read(self, path: str, variable: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableSetting(f"{variable}_FILE cannot be read") from error
