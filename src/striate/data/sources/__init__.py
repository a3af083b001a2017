"""Where labelled pictures come from: a layout on disk, or a built-in sample, each one file.

A layout is a module with

- `TASKS`: the tasks that its labels are for, the likelier first;
- `DESCRIPTION`: what it looks like on disk, for messages and documentation;
- `matches(location: str) -> bool`: is this folder or file mine? Cheap;
- `read(location: str, task: str) -> Dataset`: list it, with the splits that it has; raises DataError for what
  is wrong with it;
- `CAN_IGNORE`, true where `read` also takes `ignore`: classes that count as no label;
- `CAN_THRESHOLD`, true where it also takes `threshold`: the lowest grey of the second of two classes.

A sample has `TASKS` and `read` alone, and is asked for by its name. A new layout is one file here and one line in
`SOURCES`; a new sample one line in `SAMPLES`. Where several layouts match, the first one of a task is taken.
"""

SOURCES: dict[str, str] = {
    "joints": "striate.data.sources.joints",
    "coco": "striate.data.sources.coco",
    "table": "striate.data.sources.table",
    "image_masks": "striate.data.sources.image_masks",
    "camvid": "striate.data.sources.camvid",
    "class_folders": "striate.data.sources.class_folders",
}

SAMPLES: dict[str, str] = {
    "mnist": "striate.data.sources.mnist",
    "figures": "striate.data.sources.figures",
}
