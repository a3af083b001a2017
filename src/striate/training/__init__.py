"""Training: the loop and its pieces. Of tasks it knows the protocol, `tasks.training`, and nothing else.

config.py            all that a user can choose
options.py           what a user can choose about optimisation, the learning rate and the machine
options.py           how a group of such choices checks its values
schedules.py         learning rates: plain functions of the step
loop.py              the loop
display.py           what a person sees of it
"""
