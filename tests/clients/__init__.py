"""The real harnesses, each doing a two-turn tool loop through the real daemon."""
