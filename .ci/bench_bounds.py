"""Reads what `manage.py bench --json` says, and exits with 1 where a ratio is out of bounds.

The bounds are generous: a small portfolio on a busy machine is far from the figures in docs/growing.md. What
they catch is what makes a run several times as slow.
"""

import json
import sys

# At most. A ratio that was not measured is out of bounds too.
BOUNDS = {
    "full_to_floor": 30,
    "two_workers_to_floor": 60,
    "four_workers_to_floor": 60,
    "incremental_to_full": 0.5,
    "next_day_to_full": 2,
    "peak_mib": 200,
}

figures = json.load(sys.stdin)
out_of_bounds = [
    f"{name} is {figures[name]}, and {most} is the most"
    for name, most in BOUNDS.items()
    if figures[name] is None or figures[name] > most
]
json.dump({name: figures[name] for name in BOUNDS}, sys.stdout, indent=1)
sys.exit("\n".join(out_of_bounds) or 0)
