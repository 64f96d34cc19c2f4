"""How a theme's cases are run and told: a line for each, and how many held."""

import os
import sys
import time
import traceback


class Wrong(Exception):
    """What was expected did not come."""


def check(holds, why):
    if not holds:
        raise Wrong(why)


def run(cases, log=()):
    """Runs `(name, function)` one after the other; the number that held is the last line. `log` is what cases have to say."""
    good = 0
    for name, case in cases:
        begun, said = time.monotonic(), len(log)
        try:
            case()
            good += 1
            print(f"ok {name} ({time.monotonic() - begun:.2f} s) {' '.join(log[said:])}".rstrip(), flush=True)
        except Wrong as wrong:
            print(f"WRONG {name}: {wrong}", flush=True)
        except Exception:  # noqa: BLE001 - whatever it is, the case did not hold
            print(f"WRONG {name}: {traceback.format_exc()}", flush=True)
    print(f"# {good} of {len(cases)}", flush=True)
    sys.stdout.flush()
    # Whatever still serves in the background need not be waited for.
    os._exit(0 if good == len(cases) else 1)
