"""brainrouter: a speed-first proxy between AI coding harnesses and LLMs."""

__version__ = "0.1.0"
