"""Print a result as a table and keep it with the machine it came from."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def report(name: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows and write them to ``bench/results/<name>.json``."""
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "load_1min": round(os.getloadavg()[0], 2),
    }
    folder = Path(__file__).resolve().parent / "results"
    folder.mkdir(exist_ok=True)
    text = json.dumps({"name": name, "machine": machine, "rows": rows}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    keys = list(rows[0])
    widths = [max(len(k), *(len(str(r.get(k, ""))) for r in rows)) for k in keys]
    for line in ([dict(zip(keys, keys, strict=True))], rows):
        for row in line:
            cells = (str(row.get(k, "")).rjust(w) for k, w in zip(keys, widths, strict=True))
            print("  ".join(cells))
    print(machine)
