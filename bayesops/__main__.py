"""`python -m bayesops` is `bayesops`."""

import sys

from bayesops.cli import main

sys.exit(main())
