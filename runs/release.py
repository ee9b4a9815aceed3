"""Which release draws the pages."""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings


@cache
def build() -> str:
    """Changes whenever pages of this release are drawn differently from those of another."""
    digest = hashlib.sha256()
    for folder in (settings.BASE_DIR / "templates", settings.BASE_DIR / "static/console"):
        for file in sorted(folder.rglob("*.*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
