"""The address people use. The launcher holds it, so that it survives every web process."""

from __future__ import annotations

import errno
import socket

from agentops.launcher.errors import LaunchError

_PREFERRED = range(8000, 8020)
_WAITING = 1024


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket: at ``port``, or else at the first free one from 8000 on."""
    for candidate in (port,) if port is not None else (*_PREFERRED, 0):
        try:
            return _bind(host, candidate)
        except OSError as error:
            if port is not None or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise LaunchError(_why(host, candidate, error)) from error
    raise LaunchError(f"No free port was found on {host}.")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_WAITING)
    except OSError:
        listening.close()
        raise
    return listening


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken. Leave out --port to use a free one."
    return f"Cannot listen on {host} port {port}: {error.strerror}."
