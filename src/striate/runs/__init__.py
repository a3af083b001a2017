"""A run is a folder: what is in it, and a run in use."""

from striate.runs.run import Run, load

__all__ = ["Run", "load"]
