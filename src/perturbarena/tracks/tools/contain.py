"""What a process that runs strangers' tools may do: a fence set up from inside, before their code is loaded.

Three rings, each used where the system has it, and then *tried* (:func:`probe`), so that a run can say what held:

- resource limits: address space, size of a file, open files;
- Linux: a seccomp filter (no sockets, no processes, no signals to others, no reading of other processes' memory)
  and a Landlock domain (only the interpreter, the tools' folder and a scratch folder can be opened);
- an audit hook in Python, which names what was attempted. Alone it is a guard rail: native code passes it.

Only the standard library is imported; see :mod:`perturbarena.tracks.tools.schema`.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import resource
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

KERNEL: Final = "kernel"
GUARD: Final = "python guard only"
MIB: Final = 2**20
_MAX_FILE_MIB: Final = 64
_MAX_OPEN_FILES: Final = 256

# From <linux/audit.h>, <linux/seccomp.h>, <linux/filter.h> and the systems' tables of calls.
_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_CLONE_THREAD: Final = 0x00010000
_DENIED: Final = {
    "x86_64": {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
        "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "shmget": 29, "ptrace": 101, "pivot_root": 155,
        "setrlimit": 160, "chroot": 161, "mount": 165, "tkill": 200, "unshare": 272, "accept4": 288,
        "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438,
    },
    "aarch64": {
        "pivot_root": 41, "mount": 40, "chroot": 51, "unshare": 97, "ptrace": 117, "tkill": 130, "setrlimit": 164,
        "shmget": 194, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
        "sendto": 206, "sendmsg": 211, "execve": 221, "perf_event_open": 241, "accept4": 242,
        "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
        "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282, "pidfd_send_signal": 424,
        "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438,
    },
}  # fmt: skip
_BY_ARGUMENT: Final = {
    "x86_64": {"clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "prlimit64": 302},
    "aarch64": {"clone": 220, "clone3": 435, "kill": 129, "tgkill": 131, "prlimit64": 261},
}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2

# From <linux/landlock.h>; the numbers of the calls are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FILE_READ: Final = 0b101  # execute, read_file
_DIR_READ: Final = 0b1101  # and read_dir
_FS_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of file-system rights by version of the interface; 16 from version 5 on."""

_NETWORK: Final = ("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
_PROCESS: Final = (
    "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen", "pty.spawn", "os.kill",
    "os.killpg",
)  # fmt: skip
_READS: Final = ("open", "os.listdir", "os.scandir")
_HARMLESS: Final = ("/dev/null", "/dev/urandom", "/etc/localtime", "/etc/ld.so.cache", "/proc/self/maps")


def limit_resources(memory_mib: int) -> None:
    """Bound address space, files and core dumps."""
    wanted = {
        "RLIMIT_AS": memory_mib * MIB,
        "RLIMIT_FSIZE": _MAX_FILE_MIB * MIB,
        "RLIMIT_NOFILE": _MAX_OPEN_FILES,
        "RLIMIT_CORE": 0,
    }
    for name, value in wanted.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def confine_files(readable: Iterable[str], scratch: str) -> bool:
    """Enter a Landlock domain: these paths can be read, ``scratch`` written; False where there is none."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    rights = (1 << _FS_RIGHTS.get(version, 16)) - 1
    scoped = 0b11 if version >= 6 else 0  # abstract sockets and signals stay inside
    words = (rights, 0b11, scoped)[: 1 if version < 4 else 2 if version < 6 else 3]
    attribute = struct.pack(f"={len(words)}Q", *words)
    ruleset = libc.syscall(_CREATE_RULESET, attribute, ctypes.c_size_t(len(attribute)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    for path in (*readable, *_HARMLESS):
        _allow(libc, ruleset, path, _DIR_READ if Path(path).is_dir() else _FILE_READ)
    _allow(libc, ruleset, scratch, rights)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    entered = libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return entered


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no rule
        return
    rule = struct.pack("=Qi", rights, handle)
    libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0))
    os.close(handle)


def filter_calls() -> bool:
    """Install the seccomp filter: no sockets, no processes, no signals to others; False where there is none."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCH:
        return False
    program = _program(machine)
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the pointer stands at its own alignment
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, head, 0, 0) == 0


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    deny, by = _ERRNO | errno.EPERM, _BY_ARGUMENT[machine]
    steps = [(_LD, 0, 0, 4), (_JEQ, 1, 0, _ARCH[machine]), (_RET, 0, 0, deny), (_LD, 0, 0, 0)]
    if machine == "x86_64":
        steps += [(_JGE, 0, 1, _X32_BIT), (_RET, 0, 0, deny)]
    for number in _DENIED[machine].values():
        steps += [(_JEQ, 0, 1, number), (_RET, 0, 0, deny)]
    # without clone3 the C library falls back on clone, whose flags a filter can see
    steps += [(_JEQ, 0, 1, by["clone3"]), (_RET, 0, 0, _ERRNO | errno.ENOSYS)]
    allow = (_RET, 0, 0, _ALLOW)
    steps += [(_JEQ, 0, 4, by["clone"]), (_LD, 0, 0, 16), (_JSET, 1, 0, _CLONE_THREAD), (_RET, 0, 0, deny), allow]
    for name in ("kill", "tgkill"):
        own = (_JEQ, 1, 0, os.getpid())
        steps += [(_JEQ, 0, 4, by[name]), (_LD, 0, 0, 16), own, (_RET, 0, 0, deny), allow]
    # prlimit64 may ask for limits, and not set them: its third argument must be null
    steps += [
        (_JEQ, 0, 6, by["prlimit64"]), (_LD, 0, 0, 32), (_JEQ, 0, 2, 0), (_LD, 0, 0, 36), (_JEQ, 1, 0, 0),
        (_RET, 0, 0, deny), allow,
    ]  # fmt: skip
    return [*steps, allow]


def guard(readable: Sequence[str], scratch: str, attempts: Counter[str]) -> None:
    """Install the audit hook, which refuses and counts what the fence forbids. It cannot be taken off again."""
    roots = tuple(os.path.realpath(path) for path in (*readable, *_HARMLESS, scratch))
    below = tuple(root.rstrip(os.sep) + os.sep for root in roots)
    scratch = os.path.realpath(scratch)

    def refuse(kind: str, what: str) -> None:
        attempts[kind] += 1
        raise PermissionError(errno.EPERM, f"tools may not do this here ({kind}: {what})")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NETWORK:
            refuse("network", event)
        elif event in _PROCESS:
            refuse("process", event)
        elif event in _READS and arguments and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path not in roots and not path.startswith(below):
                refuse("file", path)
            flags = arguments[2] if event == "open" and len(arguments) > 2 else 0
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and path != os.devnull and path != scratch and not path.startswith(scratch + os.sep):
                refuse("file", f"writing {path}")

    sys.addaudithook(hook)


def probe(canary: str, memory_mib: int) -> dict[str, str]:
    """Try what shall not be possible, before the guard is up: ``kernel`` where the system itself refused."""
    found: dict[str, str] = dict.fromkeys(("network", "processes", "files", "memory"), GUARD)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        found["network"] = KERNEL
    try:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    except PermissionError:
        found["processes"] = KERNEL
    try:
        with Path(canary).open("rb"):
            pass
    except PermissionError:
        found["files"] = KERNEL
    try:
        mmap.mmap(-1, memory_mib * MIB).close()
        found["memory"] = "none"
    except (OSError, MemoryError):
        found["memory"] = KERNEL
    return found
