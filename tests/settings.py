"""How much the tests do: small by default, more in a long run through the environment."""

from __future__ import annotations

import os

# Random tables per property.
EXAMPLES = int(os.environ.get("RA_EXAMPLES", "100"))
# Crashes under writers.
ROUNDS = int(os.environ.get("RA_ROUNDS", "5"))
# How long the side-by-side test runs.
SECONDS = float(os.environ.get("RA_SECONDS", "5"))
# Reads that publish nothing.
READS = int(os.environ.get("RA_READS", "2000"))
# Rounds of each of a hundred client processes.
CLIENT_ROUNDS = int(os.environ.get("RA_CLIENT_ROUNDS", "2"))
# Operations of the soak.
OPERATIONS = int(os.environ.get("RA_OPERATIONS", "3000"))
# Whether times of minutes are waited out.
IS_LONG = os.environ.get("RA_LONG", "") != ""
