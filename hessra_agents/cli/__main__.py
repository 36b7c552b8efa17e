"""Run the command line: ``python -m hessra_agents.cli``."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
