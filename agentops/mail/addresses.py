"""Addresses of mail as agents take them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MailAddress = Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$", max_length=254)]
