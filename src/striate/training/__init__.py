"""Training: the loop and its pieces. Of tasks it knows the protocol, `tasks.training`, and nothing else.

options.py        what a user can choose about optimisation, learning rate and machine
loop.py           the loop over epochs, and evaluation
step.py           a step: gradients, checked, and an update
state.py          what a step changes: weights, optimiser, counts
checkpoint.py     the state on disk
optimisers.py     SGD and AdamW, and which parameters decay
schedules.py      learning rates: plain functions of the step
budget.py         how many steps fit into a time
precision.py      dtype, memory format and threads, by measurement
compiled.py       torch.compile
hardware.py       settings of torch for a whole process
distributed.py    several processes that train one network
lr_range_test.py  a peak for the learning rate
training_log.py   log messages and progress
"""
