"""Computes for hours, inside one call into C."""

pow(3, 10**9)
