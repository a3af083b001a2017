"""Training: the loop and its pieces. Of tasks it knows the protocol, `tasks.base`, and nothing else.

config.py       what a user can choose
schedules.py    learning rates: plain functions of the step
loop.py         the loop
display.py      what a person sees of it
"""
