"""`python -m bayesops.cli` is `bayesops`."""

import sys

from bayesops.cli import main

sys.exit(main())
