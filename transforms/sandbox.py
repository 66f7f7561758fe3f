"""What a process gives up before it sees what may be hostile: network, keys, files, growth.

All of it is asked of the Linux kernel and needs no privilege: a network namespace of its own, the
file rules of Landlock (since Linux 5.13), resource limits. A kernel that lacks one of the first
two, or forbids it, leaves the process without that wall; each function returns whether its wall
stands, and who starts such a process says so in its log. Numbers of system calls and flags:
linux/prctl.h, sched.h, landlock.h.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path


__all__ = [
    "become",
    "grant_cpu",
    "leave_network",
    "limit_data",
    "limit_growth",
    "only_read",
    "tie_to",
]

_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many a version of Landlock knows; later 16
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALL_TCP, _ALL_SCOPES = 0b11, 0b11  # bind, connect; abstract sockets, signals

_libc = ctypes.CDLL(None, use_errno=True)


def leave_network(*, stay_root: bool = False) -> bool:
    """Move into a network namespace without any interface; return whether the kernel allowed it.

    Only a process with a single thread can: call it before libraries start theirs. A process of
    root that is going to `become` somebody else must `stay_root` until then.
    """
    _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(_libc.unshare(_NEWNET if stay_root else _NEWUSER | _NEWNET) == 0)


def become(user: int, group: int) -> None:
    """Turn a process of root into one of another user, for good; PermissionError when not root."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def tie_to(parent: int) -> None:
    """Let the kernel kill this process when `parent` ends; end now when it has ended already.

    Call it after `leave_network` and `become`, because a new user clears the setting.
    """
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit()


def only_read(folders: Iterable[Path], write: Iterable[Path] = ()) -> bool:
    """Forbid every file but reading below `folders` and all below `write`; return if it was done.

    It holds for this process for good, whatever the user may otherwise read: keys are not there.
    Where the kernel knows how, TCP, abstract sockets and signals to others are forbidden with it.
    """
    version = _libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    all_rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    size = 8 if version < 4 else 16 if version < 6 else 24
    rights = struct.pack("=QQQ", all_rights, _ALL_TCP, _ALL_SCOPES)[:size]
    ruleset = _libc.syscall(_CREATE_RULESET, rights, size, 0)
    if ruleset < 0:
        return False
    try:
        allowed = [
            *(_allow(ruleset, path, _READ_FILE | _READ_DIR) for path in folders if path.exists()),
            *(_allow(ruleset, path, all_rights) for path in write),
        ]
        return all(allowed) and _libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def limit_growth(memory: int) -> None:
    """Forbid growth by more than `memory` bytes, any file, more than 64 open descriptors.

    What the libraries have reserved by now counts as address space, used or not, and differs
    between their versions: so the limit starts from there.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    space = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def limit_data(memory: int, file_bytes: int) -> None:
    """Forbid more than `memory` bytes of own data, larger files, more than 256 open descriptors.

    Data are what a process may write to and shares with nobody: unlike address space, they do not
    count what libraries reserve and never touch.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def grant_cpu(seconds: int) -> None:
    """Allow `seconds` more of CPU time than used so far: a warm process must not run dry."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _allow(ruleset: int, folder: Path, rights: int) -> bool:
    """Allow what `rights` say below `folder`."""
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        return bool(_libc.syscall(_ADD_RULE, ruleset, 1, rule, 0) == 0)
    finally:
        os.close(descriptor)
