"""Benchmarks others can trust: the record, how it is measured, sampled and kept."""
