"""As whom the servers run, and that they never outlive the process that started them.

Note [Servers as root]
    PostgreSQL refuses to run as root. A child of root therefore enters a user namespace of its
    own in which it is ``nobody``; to the rest of the machine it is still root, so that a private
    home, the data and the environment just work. No account, no chmod, no copy. Where the kernel
    forbids that (some containers), the child becomes ``nobody`` for real and the data folder is
    given to it. The same trick serves a user id without an account, which ``initdb`` refuses too.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentops.launcher.errors import LaunchError

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PROBE = Path("/bin/true")


@dataclass(frozen=True)
class Identity:
    """How a server process gets a user id it may run with. See Note [Servers as root]."""

    mode: Literal["direct", "userns", "setuid"] = "direct"
    uid: int = 0
    gid: int = 0

    def own(self, folder: Path) -> None:
        """Give ``folder`` to the identity, where that is somebody else."""
        if self.mode == "setuid":
            os.chown(folder, self.uid, self.gid)

    def may_enter(self, folder: Path) -> None:
        """Let the identity pass through ``folder``, which is ours, without seeing what is in it."""
        if self.mode == "setuid":
            folder.chmod(0o711)

    def can_run(self, program: Path) -> bool:
        """Whether the identity reaches ``program``."""
        try:
            setup = child_setup(signal.SIGKILL, self)
            command = [str(program), "--version"]
            said = subprocess.run(command, preexec_fn=setup, timeout=10, capture_output=True)
        except (OSError, subprocess.SubprocessError):
            return False
        return said.returncode == 0


ME = Identity()


def for_servers(data: Path) -> Identity:
    """The identity for servers whose data lie in ``data``; an existing folder keeps its mode."""
    if os.getuid() != 0 and _has_account():
        return ME
    nobody = pwd.getpwnam("nobody")
    namespaced = Identity("userns", nobody.pw_uid, nobody.pw_gid)
    switched = Identity("setuid", nobody.pw_uid, nobody.pw_gid)
    if data.exists() and data.stat().st_uid == nobody.pw_uid:
        return switched
    if namespaced.can_run(_PROBE):
        return namespaced
    if os.getuid() == 0:
        return switched
    raise LaunchError(
        f"User id {os.getuid()} has no account on this machine, and PostgreSQL needs one. "
        "Start as a user with an account, or name a server in DATABASE_URL."
    )


def child_setup(death_signal: signal.Signals, identity: Identity = ME) -> Callable[[], None] | None:
    """What a child does between fork and exec: take its identity, die with its parent.

    The kernel watches the *thread* that forked: start children from the main thread only.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent, uid, gid = os.getpid(), os.getuid(), os.getgid()

    def run() -> None:
        if identity.mode == "userns":
            _enter_namespace(libc, identity, uid, gid)
        elif identity.mode == "setuid":
            os.setgroups([])
            os.setgid(identity.gid)
            os.setuid(identity.uid)
        # After any change of user, which would clear it.
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before it could be watched

    return run


def _enter_namespace(libc: ctypes.CDLL, identity: Identity, uid: int, gid: int) -> None:
    if libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{identity.uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{identity.gid} {gid} 1")


def _has_account() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True
