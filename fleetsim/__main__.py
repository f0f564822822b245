"""``python -m fleetsim``."""

from fleetsim.cli.app import main

main()
