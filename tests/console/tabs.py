"""Tabs of a real browser on the web process, for tests that look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from agentops.accounts.models import User
from agentops.asgi import application
from runs.models import Run

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
OpenTab = Callable[..., Page]


@contextmanager
def web_process() -> Iterator[str]:
    """The web process, in a thread of this one; gives its address."""
    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off")
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    port = web.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    web.should_exit = web.force_exit = True
    thread.join(10)


@contextmanager
def tabs(chromium: Browser, server: str, user: User) -> Iterator[OpenTab]:
    """Opens tabs in which ``user`` is signed in; fails for any error that a page reports."""
    contexts: list[Any] = []
    errors: list[str] = []
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    session: Any = {"name": name, "value": client.cookies[name].value, "url": server}

    def opened(
        path: str = "/runs/",
        *,
        signed_in: bool = True,
        theme: str = "light",
        size: Any = None,
        before: Callable[[Page], object] | None = None,
    ) -> Page:
        options: dict[str, Any] = {"viewport": size or WIDE, "color_scheme": theme}
        context = chromium.new_context(base_url=server, timezone_id="Europe/Berlin", **options)
        contexts.append(context)
        context.set_default_timeout(8000)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if _is_ours(said) else None)
        if before is not None:
            before(tab)
        if signed_in:
            context.add_cookies([session])
            tab.goto(path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    _come_to_rest()
    assert errors == []


def _come_to_rest() -> None:
    """Wait until nobody asks the database any more: it is about to be emptied under locks."""
    quiet, give_up_at = 0, time.monotonic() + 5
    while quiet < 3 and time.monotonic() < give_up_at:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            row = cursor.fetchone()
        quiet = quiet + 1 if row == (0,) else 0
        time.sleep(0.05)


def _is_ours(said: Any) -> bool:
    """Errors of our pages; what a test refuses, the browser itself reports."""
    return said.type == "error" and not any(
        known in said.text
        for known in ("WebSocket", "404", "ERR_FAILED", "htmx:sendError", "htmx:afterRequest")
    )


def address(run: Run) -> str:
    return f"/runs/{run.public_id}/"


def is_live(tab: Page) -> None:
    expect(tab.locator("#connection-word")).to_have_text("Live")
    tab.wait_for_timeout(300)
