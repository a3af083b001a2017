"""From data and options to a finished run.

session.py          data and options in, a run out
lr_finder.py        data and options in, a learning rate out
"""

from striate.sessions.session import train_run

__all__ = ["train_run"]
