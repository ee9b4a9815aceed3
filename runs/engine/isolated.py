"""The child of :mod:`runs.engine.isolation`: reads calls, answers, dies with its parent."""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import signal
import struct
import sys
from typing import BinaryIO

LENGTH = struct.Struct("!Q")
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve calls until the parent closes the pipe."""
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import django  # noqa: PLC0415 - tools may use models; a child that dies early need not pay

    django.setup()
    answers.write(b"ready")
    answers.flush()
    while head := sys.stdin.buffer.read(LENGTH.size):
        (size,) = LENGTH.unpack(head)
        _answer(answers, sys.stdin.buffer.read(size))


def _die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _answer(answers: BinaryIO, call: bytes) -> None:
    module, name, args, kwargs = pickle.loads(call)  # noqa: S301 - written by our own parent
    try:
        answer = pickle.dumps((True, _function(module, name)(*args, **kwargs)))
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        answer = _pickled_error(error)
    answers.write(LENGTH.pack(len(answer)) + answer)
    answers.flush()


def _function(module: str, name: str):  # type: ignore[no-untyped-def]
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return getattr(found, "fn", found)


def _pickled_error(error: BaseException) -> bytes:
    try:
        blob = pickle.dumps((False, error))
        pickle.loads(blob)  # noqa: S301 - some exceptions pickle and do not come back
    except Exception:  # noqa: BLE001
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return blob


if __name__ == "__main__":
    main()
