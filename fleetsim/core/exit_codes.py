"""Exit codes of the program, once for ``fleetsim help exit-codes`` and for the tests."""

from collections.abc import Mapping
from typing import Final

EXIT_CODES: Final[Mapping[int, tuple[str, str]]] = {
    0: (
        "passed",
        (
            "The command did what it was asked. For run, report and compare: the verdict is "
            "passed; of a scenario with `expect: fail`: exactly the damage that it shows was "
            "found."
        ),
    ),
    1: (
        "internal error",
        (
            "A bug of fleetsim, or the run folder could not be written (full disk, no "
            "permission)."
        ),
    ),
    2: (
        "bad usage or bad input",
        (
            "An option, a scenario, a certificate, credentials or a run folder cannot be "
            "used. Every problem is on standard error with its place; nothing was started."
        ),
    ),
    3: (
        "target not usable",
        (
            "The S3 target did not answer, refused the credentials or has no bucket, before "
            "the load began or when the truth check was made."
        ),
    ),
    99: (
        "a threshold failed",
        (
            "The run ended, and its verdict is failed or invalid: a threshold, the truth "
            "check or `--fail-on`. Artefacts are complete. The number is that of k6."
        ),
    ),
    130: (
        "interrupted",
        (
            "Ctrl-C or SIGTERM ended the run; what was recorded is kept and can be "
            "reported."
        ),
    ),
    141: ("nobody reads", "Whoever read standard output is gone (128 + SIGPIPE)."),
}
"""Code to name and meaning. Scripts rely on them: codes are only ever added."""
