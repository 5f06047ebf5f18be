"""The performance report: measures HPTS and its yardsticks in one run on one machine.

`python -m bench.report` writes bench/RESULTS.md and bench/plots; see `__main__`.
"""
