"""Launch: become another program that ends when the process which started it dies.

``python -I launch.py PARENT PROGRAM ARGUMENT…``. The lab is the parent: however it dies,
the kernel then sends the program SIGTERM (prctl(2), PR_SET_PDEATHSIG; the setting
survives execve(2)). It stands alone and imports nothing of the package: it is gone in
milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program.

    Args:
        arguments: Process id of the parent, the program's path, its arguments.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the call.
    if os.getppid() != int(arguments[0]):
        sys.exit("the lab is gone")
    os.execv(arguments[1], arguments[1:])  # noqa: S606  # no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
