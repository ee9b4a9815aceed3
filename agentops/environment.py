"""Reads what Django wants to know out of URLs, and refuses what would be unsafe."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_SHORTEST_KEY = 50
_DEFAULT_KEYS = ("django-insecure", "change-me", "changeme", "insecure")


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean itself by ``host``."""
    return host in LOOPBACK


def throwaway_key() -> str:
    """A key for a process that only this machine can reach and that stores nothing with it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def refuse_unsafe(
    *, debug: bool, secret_key: str, hosts: Sequence[str], field_keys: Sequence[str]
) -> None:
    """Stop a production process that would run open, with every reason at once."""
    reasons = [
        (debug, "AGENTOPS_DEBUG is on: errors would show code and settings. Unset it."),
        (not secret_key, "SECRET_KEY is not set. Set it to 50 or more random characters."),
        (
            bool(secret_key) and _is_weak(secret_key),
            "SECRET_KEY is a default or too short. Set it to 50 or more random characters.",
        ),
        (not hosts, "ALLOWED_HOSTS is not set. Name the hosts that people use, with commas."),
        ("*" in hosts, "ALLOWED_HOSTS is *: anybody could pose as this site. Name the hosts."),
        (
            not field_keys,
            "AGENTOPS_FIELD_KEYS is not set: stored secrets could not be sealed. Set it to the "
            "output of: python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'",
        ),
    ]
    found = [sentence for applies, sentence in reasons if applies]
    if found:
        raise ImproperlyConfigured(
            "These settings are not safe in production:\n- " + "\n- ".join(found)
        )


def database(url: str, *, pool_size: int, application_name: str) -> dict[str, Any]:
    """Django's DATABASES entry for a PostgreSQL URL."""
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if config["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            f"DATABASE_URL begins with {url.partition(':')[0]}:, but only PostgreSQL works. "
            "Give postgres://user:password@host:5432/name."
        )
    options: dict[str, Any] = {**config.get("OPTIONS", {}), "application_name": application_name}
    # A socket folder can only be given as ?host=, and belongs where everybody looks for it.
    host = options.pop("host", config["HOST"])
    if pool_size:
        options["pool"] = {"min_size": 0, "max_size": pool_size, "timeout": 10}
    # A pool needs 0; without one, persistent connections leak under ASGI.
    return {**config, "HOST": host, "CONN_MAX_AGE": 0, "OPTIONS": options}


def broker(redis_url: str) -> str:
    """Celery's spelling of a Redis URL: it names Unix sockets in its own way."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    number = parts.query.removeprefix("db=") or "0"
    return f"redis+socket://{parts.path}?virtual_host={number}"


def email(url: str) -> dict[str, Any]:
    """Django's EMAIL_* settings for a mail URL such as ``smtp+tls://user:password@host:587``.

    Without a URL, mail is kept in a maildir.
    """
    if not url:
        return {"EMAIL_BACKEND": "agentops.mail.backend.EmailBackend"}
    config: dict[str, Any] = environ.Env.email_url_config(url)
    return {key: value for key, value in config.items() if key.startswith("EMAIL_")}


def _is_weak(key: str) -> bool:
    return len(key) < _SHORTEST_KEY or key.lower().startswith(_DEFAULT_KEYS)
