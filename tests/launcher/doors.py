"""The doors of an installation that was started as a person starts it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from agentops.launcher.home import PROJECT
from tests.launcher.launched import PATIENCE_SECONDS, Launched, environment

# Sample agents then play their part without a provider.
NO_KEYS = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"), "")


def command(running: Launched, *arguments: str) -> str:
    """What a command says in a terminal."""
    said = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment(AGENTOPS_DATA=str(running.home.folder)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def token(running: Launched) -> str:
    """A token of the operator."""
    found = re.search(r"agp_\S+", command(running, "api_token", "operator"))
    assert found is not None
    return found[0]


def api(running: Launched, token: str, path: str, body: object = None) -> Any:
    """What the REST API answers."""
    asked = urllib.request.Request(
        f"{running.state['url']}/api/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def ended(running: Launched, token: str, run_id: str) -> dict[str, Any]:
    """The run, once it is over."""
    return reached(running, token, run_id, {"succeeded", "failed", "cancelled", "expired"})


def reached(running: Launched, token: str, run_id: str, statuses: set[str]) -> dict[str, Any]:
    """The run, once its status is one of these."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        run: dict[str, Any] = api(running, token, f"/runs/{run_id}")
        if run["status"] in statuses:
            return run
        time.sleep(0.2)
    raise AssertionError(f"{run_id} did not come to {statuses}: {run}")


class Browser:
    """Somebody at the console: pages, forms, a session."""

    def __init__(self, running: Launched) -> None:
        self.base = str(running.state["url"])
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str) -> str:
        """A page."""
        with self._opener.open(self.base + path, timeout=20) as answer:
            return str(answer.read().decode())

    def post(self, page: str, action: str, fields: dict[str, str]) -> str:
        """Fill in the form of a page and send it; the address one comes to."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.get(page)))
        data = urllib.parse.urlencode({**hidden, **fields}).encode()
        asked = urllib.request.Request(self.base + action, data, {"Referer": self.base + page})
        with self._opener.open(asked, timeout=20) as answer:
            return str(answer.url).removeprefix(self.base)


def rows(data: Path, query: str) -> list[Any]:
    """What the shop of the support desk has."""
    with closing(sqlite3.connect(data / "shop" / "shop.sqlite3")) as shop:
        return shop.execute(query).fetchall()
