"""How often a trial is repeated."""

import os

FULL = os.environ.get("CJO_TRIALS") == "full"


def rounds(full: int) -> int:
    """The full count with CJO_TRIALS=full, else a tenth of it, and never less than one."""
    return full if FULL else max(1, full // 10)
