"""From data and options to a finished run.

session.py          data and options in, a run out
lr_finder.py        data and options in, a learning rate out
"""

from striate.sessions.session import train

__all__ = ["train"]
