"""Time and memory of the study compared with a plain reference implementation."""
