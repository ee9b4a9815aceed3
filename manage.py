#!/usr/bin/env python
"""Command line of the runtime. ``up`` starts everything on this machine; it needs no Django."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["up"]:
        from agentops.launcher import command

        sys.exit(command.main(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    # A command is read by a person and uses one connection.
    os.environ.setdefault("AGENTOPS_LOG_FORMAT", "text")
    os.environ.setdefault("AGENTOPS_DB_POOL", "0")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
