"""A task that striate does not have: how many bright dots are in an image, a number. The folder of a task.

`test_toy_task.py` adds its line to the tables, as anyone would who adds a task.
"""

from striate.tasks.task import TaskEntry

TASK = TaskEntry(
    spec="tests.tasks.toy.spec:DotsSpec",
    training="tests.tasks.toy.training:DotsTraining",
    explaining="tests.tasks.toy.explaining:DotsExplaining",
    options="tests.tasks.toy.options:DotsOptions",
)
