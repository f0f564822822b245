"""The program ``fleetsim``, also as ``python -m fleetsim``."""

import sys


def main() -> None:
    """Entry point: Ctrl-C while modules are still being imported is quiet, too.

    Raises:
        SystemExit: With the program's exit code; 130 when interrupted.
    """
    try:
        from fleetsim.cli.app import main as program  # noqa: PLC0415 - may be interrupted

        program()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
