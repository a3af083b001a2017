"""`python -m striate` is the command `striate`."""

import sys

from striate.cli import main

sys.exit(main())
