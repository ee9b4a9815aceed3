"""A new, empty database for every measurement, so that none pays for the rows of another."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

import psycopg


def fresh(server_url: str, system: str) -> str:
    """Creates a database on the server and returns its address."""
    name = f"bench_{re.sub('[^a-z]', '', system)}_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return named(server_url, name)


def named(server_url: str, name: str) -> str:
    """The address of another database on the same server."""
    parts = urlsplit(server_url)
    url = urlunsplit(parts._replace(path=f"/{name}"))
    return url if parts.netloc else url.replace("postgresql:/", "postgresql:///", 1)
