"""Training: the loop and its pieces. Of tasks it knows the protocol, `tasks.training`, and nothing else.

config.py            what a user can choose
schedule_options.py  what a user can choose about the learning rate
options.py           how a group of such choices checks its values
schedules.py         learning rates: plain functions of the step
loop.py              the loop
display.py           what a person sees of it
"""
