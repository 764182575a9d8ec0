"""Charge points of our own, for the demo, the tests and the benchmarks."""
