"""The types of an account's fields, each with its check.

What is refused is never repeated where it could be a key or secret that was written in place of its name.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from worker.core.limits import parse_rate


class Table(BaseModel):
    """A table of the accounts file. It allows no unknown field, and its errors repeat no value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _rate(text: str) -> str:
    parse_rate(text)
    return text


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _variable(text: str) -> str:
    """Check the name of a variable. A key or secret in its place is refused here, so errors may repeat the name."""
    if not _VARIABLE.fullmatch(text) or _CREDENTIAL.match(text):
        raise ValueError("must be the name of an environment variable, not its value")
    return text


def _path(path: Path) -> Path:
    if _CREDENTIAL.match(str(path)):
        raise ValueError("must be the path of a file, not its content")
    return path


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or _CREDENTIAL.match(text):
        raise ValueError("must have 1 to 64 characters of A-Z a-z 0-9 _ . -, the first one none of . -")
    return text


def _network(value: object) -> object:
    try:
        return ip_network(str(value))
    except ValueError:
        raise ValueError(
            "must be a network such as 10.1.0.0/16 or fd00:1::/64, with no bit set after its prefix"
        ) from None


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_CREDENTIAL = re.compile(r"(?:v1,)?wh(?:sec|sk|pk)_|[0-9A-Fa-f]{32,}$", re.IGNORECASE)

Variable = Annotated[str, AfterValidator(_variable)]
WholeNumber = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Names = Annotated[
    tuple[Variable, ...],
    BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...]),
    Field(min_length=1),
]
Name = Annotated[str, AfterValidator(_name)]
FilePath = Annotated[Path, AfterValidator(_path)]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network, json_schema_input_type=str)]
Rate = Annotated[str, AfterValidator(_rate)]
CallingCode = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")]
