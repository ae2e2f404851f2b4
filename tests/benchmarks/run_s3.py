"""The command behind `make bench-s3`: `python tests/benchmarks/run_s3.py --help`."""

import sys
from importlib import import_module
from pathlib import Path

# Python puts the directory of a program first on the path. The project's root belongs there, as under pytest.
sys.path[0] = str(Path(__file__).resolve().parents[2])

if __name__ == "__main__":
    sys.exit(import_module("tests.benchmarks.s3_session").main())
