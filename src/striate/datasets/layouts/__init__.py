"""How labelled images lie on disk: one layout per file.

A layout is a module with

- `TASKS`: the tasks that its labels are for, the likelier first;
- `DESCRIPTION`: what it looks like on disk, for messages and documentation;
- `matches(location: str) -> bool`: is this folder or file mine? Cheap;
- `read(location: str, task: str) -> Dataset`: list it, with the splits that it has; raises DataError for what
  is wrong with it;
- `LIST_FAULTS`, if it has that: a function, as "module:function", that takes the location and yields all that keeps it
  from being read, as `striate.datasets.checks.problem.Problem`s, where `read` stops at the first;
- `CAN_IGNORE`, true where `read` also takes `ignore`: classes that count as no label;
- `CAN_THRESHOLD`, true where it also takes `threshold`: the lowest grey of the second of two classes.

A new layout is one file here and one line in `LAYOUTS`. Where several layouts match, the first one of a task is taken.
"""

LAYOUTS: dict[str, str] = {
    "joints": "striate.datasets.layouts.joints",
    "coco": "striate.datasets.layouts.coco",
    "table": "striate.datasets.layouts.table",
    "image_masks": "striate.datasets.layouts.image_masks",
    "camvid": "striate.datasets.layouts.camvid",
    "class_folders": "striate.datasets.layouts.class_folders",
}
