"""Makes `python -m worker.cli` the same as `callworker`."""

from __future__ import annotations

from worker.cli import main

if __name__ == "__main__":
    main()
