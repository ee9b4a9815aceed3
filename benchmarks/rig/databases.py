"""A new, empty database for every measurement, so that none pays for the rows of another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg


@contextmanager
def temporary(server_url: str, system: str, *, template: str = "template1") -> Iterator[str]:
    """The address of a database on the server, a copy of ``template``, dropped at the end."""
    name = f"bench_{re.sub('[^a-z]', '', system)}_{os.getpid()}"
    _administer(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _administer(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield named(server_url, name)
    finally:
        _administer(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def made(server_url: str, name: str) -> bool:
    """Creates a database that stays; False when it is there already."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if found.fetchone():
            return False
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return True


def _administer(server_url: str, statement: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def named(server_url: str, name: str) -> str:
    """The address of another database on the same server."""
    parts = urlsplit(server_url)
    url = urlunsplit(parts._replace(path=f"/{name}"))
    return url if parts.netloc else url.replace("postgresql:/", "postgresql:///", 1)
