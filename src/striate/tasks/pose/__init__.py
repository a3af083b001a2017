"""Pose estimation: where the joints of one person are."""

from striate.tasks.task import TaskEntry

TASK = TaskEntry(
    spec="striate.tasks.pose.spec:PoseSpec",
    training="striate.tasks.pose.training:PoseTraining",
    explaining="striate.tasks.pose.explaining:PoseExplaining",
    options="striate.tasks.pose.options:PoseOptions",
)
