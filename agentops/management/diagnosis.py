"""What ``manage.py doctor`` looks at: each part of an installation, and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import smtplib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from agentops import health
from agentops.launcher import binaries, identity, lock
from agentops.launcher.errors import LaunchError
from agentops.launcher.home import Home
from agentops.sdk.catalog import catalog
from approvals import auditing

_OLDEST_SERVER = 150000
_LITTLE_ROOM = 2 * 1024**3
_SMTP_SECONDS = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` says what to do when it is not well."""

    what: str
    said: str
    level: Literal["ok", "note", "problem"] = "ok"
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Everything, in the order in which one thing needs the other."""
    looks: tuple[Callable[[], Finding], ...] = (
        _python, _data_folder, _launcher, _postgres_programs, _identity, _valkey_program,
        _database, _tables, _broker, _workers, _beat, _escalation, _mail, _keys, _agents,
    )  # fmt: skip
    for look in looks:
        yield look()


def _python() -> Finding:
    packages = sum(1 for _ in metadata.distributions())
    said = f"{platform.python_version()} at {sys.executable}, {packages} packages"
    return Finding("python", said)


def _data_folder() -> Finding:
    home = Home(settings.AGENTOPS_DATA)
    if not home.folder.exists():
        return Finding("data", f"{home.folder} does not exist yet", "note", "bin/up makes it.")
    free = shutil.disk_usage(home.folder).free
    said = f"{home.folder}, {free / 1024**3:.1f} GB free, sockets in {home.sockets}"
    if not os.access(home.folder, os.W_OK):
        return Finding("data", said, "problem", "This user may not write there; run as its owner.")
    if free < _LITTLE_ROOM:
        return Finding("data", said, "problem", "Make room: the database stops when it is full.")
    return Finding("data", said)


def _launcher() -> Finding:
    state = lock.read_state(Home(settings.AGENTOPS_DATA))
    if state is None:
        return Finding("bin/up", "not running on this data folder", "note", "Start it: bin/up.")
    return Finding("bin/up", f"running at {state.url}, process {state.pid}")


def _postgres_programs() -> Finding:
    try:
        folder = binaries.postgres_folder()
    except LaunchError as error:
        return Finding("postgres", "no programs", "note", str(error))
    return Finding("postgres", f"{binaries.version(folder / 'postgres')} in {folder}")


def _identity() -> Finding:
    try:
        who = identity.for_servers(Home(settings.AGENTOPS_DATA).postgres)
    except LaunchError as error:
        return Finding("servers run", "nobody they could run as", "problem", str(error))
    modes = {
        "direct": "as this user",
        "userns": "as nobody in a user namespace of their own",
        "setuid": "as nobody",
    }
    return Finding("servers run", modes[who.mode])


def _valkey_program() -> Finding:
    try:
        program = binaries.valkey_server()
    except LaunchError as error:
        return Finding("valkey", "no program", "note", str(error))
    return Finding("valkey", f"{binaries.version(program)} at {program}")


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            (number,) = cursor.fetchone()
            cursor.execute("SELECT version()")
            (version,) = cursor.fetchone()
    except Error as error:
        why = str(error).strip().splitlines()[0]
        remedy = "Start bin/up, or correct DATABASE_URL."
        return Finding("database", f"does not answer: {why}", "problem", remedy)
    said = version.split(" on ")[0]
    if int(number) < _OLDEST_SERVER:
        return Finding("database", said, "problem", "PostgreSQL 15 or newer is needed.")
    return Finding("database", said)


def _tables() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except Error:
        return Finding("tables", "unknown without a database", "note")
    if missing:
        remedy = "Run: .venv/bin/python manage.py bootstrap"
        return Finding("tables", f"{missing} migrations are missing", "problem", remedy)
    return Finding("tables", "as this release wants them")


def _broker() -> Finding:
    try:
        with redis.from_url(settings.REDIS_URL, socket_connect_timeout=2) as connected:
            info = connected.info("server")
    except redis.RedisError as error:
        remedy = "Runs go on without it, more slowly. Start bin/up, or correct REDIS_URL."
        return Finding("broker", f"does not answer: {error}", "problem", remedy)
    version = info.get("valkey_version") or info.get("redis_version")
    return Finding("broker", f"{'Valkey' if 'valkey_version' in info else 'Redis'} {version}")


def _workers() -> Finding:
    return _part("workers", "one or more alive", "none: runs are not executed", "Start a worker.")


def _beat() -> Finding:
    return _part("beat", "one holds the schedule", "none: schedules do not fire", "Start beat.")


def _part(name: str, fine: str, missing: str, remedy: str) -> Finding:
    said = health.readiness()[name]
    if said == "unknown":
        return Finding(name, "unknown without a database", "note")
    if said != "ok":
        return Finding(name, missing, "problem", f"{remedy} bin/up does.")
    return Finding(name, fine)


def _escalation() -> Finding:
    try:
        said = [sentence.text for sentence in auditing.wrong(timezone.now())]
    except Error:
        return Finding(
            "escalation", "not known while the database or its tables are missing", "note"
        )
    if said:
        return Finding(
            "escalation", " ".join(said), "problem", "The System page says where to look."
        )
    return Finding("escalation", "nobody waits unseen, no mail is stuck")


def _mail() -> Finding:
    if not settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        remedy = "Set EMAIL_URL to send mail, such as smtp+tls://user:password@host:587."
        return Finding("mail", f"kept in {settings.AGENTOPS_DATA}, not sent", "note", remedy)
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        with smtplib.SMTP(settings.EMAIL_HOST, settings.EMAIL_PORT, timeout=_SMTP_SECONDS) as smtp:
            smtp.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Finding("mail", f"{where} does not answer: {error}", "problem", "Correct EMAIL_URL.")
    return Finding("mail", f"{where} answers")


def _keys() -> Finding:
    if not settings.AGENTOPS_FIELD_KEYS:
        remedy = "bin/up makes one; in production set AGENTOPS_FIELD_KEYS."
        return Finding("keys", "none for stored secrets", "problem", remedy)
    return Finding("keys", f"{len(settings.AGENTOPS_FIELD_KEYS)} for stored secrets")


def _agents() -> Finding:
    problems = catalog().problems()
    if problems:
        said = "; ".join(problem.sentence for problem in problems)
        return Finding("agents", said, "problem", "Repair the module or edit AGENTOPS_AGENTS.")
    names = ", ".join(agent.name for agent in catalog().agents())
    return Finding("agents", names or "none")
