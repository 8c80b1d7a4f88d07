"""Benchmarks: `make bench` runs them and compares with the committed results; see `docs/benchmarks.md`."""
