"""Small changes in many languages, each once right and once with a bug that was put there on purpose."""
