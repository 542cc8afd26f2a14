"""Attacks on the real daemon, row by row; the machinery of a row is tests/faults/catalogue.py."""
