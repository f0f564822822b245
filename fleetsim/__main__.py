"""The program ``fleetsim``, also as ``python -m fleetsim``."""

import signal
import sys


def main() -> None:
    """Entry point: Ctrl-C while modules are still being imported is quiet, too.

    Until a command begins, the signal ends the process as it would end any program: an
    exception in the middle of somebody's import may be turned into another one.
    ``fleetsim.cli.lazy`` takes the signal back.

    Raises:
        SystemExit: With the program's exit code; 130 when interrupted.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from fleetsim.cli.app import main as program  # noqa: PLC0415 - may be interrupted

        program()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
