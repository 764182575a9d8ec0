"""The benchmarks: `python -m tests.load [names …]` is `make bench`. See docs/PERFORMANCE.md."""
