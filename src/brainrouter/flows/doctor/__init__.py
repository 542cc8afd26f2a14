"""`brainrouter doctor`: one module for each thing that is looked at; each finding says what mends it."""
