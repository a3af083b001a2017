"""The notation reads what it writes, and says what it cannot read."""

from __future__ import annotations

from random import Random

import pytest
from tests.support import raises

from striate.errors import ModelError
from striate.models import notation
from striate.models.elements import ELEMENTS
from striate.models.elements.spec import Element
from striate.models.notation import Node, Repeat, elements, parse_line


def pair(random: Random) -> str:
    first, second = random.randint(1, 512), random.randint(1, 512)
    return random.choice([f"{first}", f"{first}x{second}"])


VALUES = {
    "stride": pair,
    "pad": lambda random: random.choice([pair(random), "0", "0x1", f"{pair(random)}:{pair(random)}"]),
    "outpad": pair,
    "dilation": pair,
    "groups": lambda random: str(random.randint(1, 512)),
    "mode": lambda random: random.choice(["zeros", "reflect", "replicate", "circular"]),
    "bias": lambda random: random.choice(["yes", "no"]),
    "ceil": lambda random: random.choice(["yes", "no"]),
    "expand": lambda random: str(random.randint(1, 9)),
    "eps": lambda random: random.choice(["0.001", ".01", "0.00001"]),
    "shortcut": lambda random: random.choice(["conv", "pad"]),
}
ARGUMENTS = {
    **dict.fromkeys(("conv", "deconv", "mbconv"), lambda random: f"{random.randint(1, 512)}@{pair(random)}"),
    **dict.fromkeys(("up", "maxpool", "avgpool", "fitpool"), pair),
    **dict.fromkeys(("res", "bottleneck"), lambda random: str(random.randint(1, 512))),
    "fc": lambda random: random.choice([str(random.randint(1, 5000)), "classes"]),
    "dropout": lambda random: random.choice(["0.5", ".1", "0"]),
}


def drawn_node(random: Random, depth: int = 0) -> Node:
    if depth < 3 and random.random() < 0.2:
        nodes = tuple(drawn_node(random, depth + 1) for _ in range(random.randint(1, 3)))
        return Repeat(nodes, random.randint(1, 9))
    kind = random.choice(list(ELEMENTS))
    options = ELEMENTS[kind].form.options
    names = random.sample(list(options), random.randint(0, len(options)))
    argument = ARGUMENTS[kind](random) if kind in ARGUMENTS else ""
    values = {name: VALUES[name](random) for name in names} | (
        {"mode": random.choice(["nearest", "bilinear"])} if kind == "up" and names else {}
    )
    return Element(kind, argument, tuple(values.items()))


@pytest.mark.parametrize("seed", range(300))
def test_what_is_written_is_read_back(seed):
    random = Random(seed)
    nodes = tuple(drawn_node(random) for _ in range(random.randint(1, 6)))
    text = notation.format_line(nodes)
    assert parse_line(text) == nodes
    assert notation.format_line(parse_line(text)) == text
    assert parse_line(text.replace(" | ", "|").replace("(", " ( ")) == nodes


def test_repeats_are_unrolled_in_order():
    line = parse_line("(conv 1@3x3 | (relu) x2) x2 | fc classes")
    expected = [(1, "conv"), (2, "relu"), (2, "relu")] * 2 + [(3, "fc")]
    assert [(place, element.kind) for place, element in elements(line)] == expected


def test_numbers_are_read_height_first():
    (element,) = parse_line("conv 16@5x3 stride=2 pad=1x2")
    assert (element.channels, element.kernel) == (16, (5, 3))
    assert (element.pair("stride", 1), element.pair("dilation", 1)) == ((2, 2), (1, 1))


@pytest.mark.parametrize(
    ("pad", "sides"),
    [
        ("1", ((1, 1), (1, 1))),
        ("2x1", ((2, 2), (1, 1))),
        ("0:1", ((0, 1), (0, 1))),
        ("0x1:2x3", ((0, 2), (1, 3))),
    ],
)
def test_padding_may_differ_from_side_to_side(pad, sides):
    (element,) = parse_line(f"maxpool 5 pad={pad}")
    assert element.sides == sides


@pytest.mark.parametrize(
    ("line", "where", "what", "fix"),
    [
        ("", "^element 1$", "is missing", "there are: conv"),
        ("conv 6@5x5 || relu", "^element 2$", "is missing", ""),
        ("conv 6@5x5 | rleu", "^element 2 `rleu`$", r"no such element \(did you mean relu\?\)", "there are: conv"),
        ("conv 6x5", "^element 1 `conv 6x5`$", "argument", "write it as `conv 16@5x5`"),
        ("conv", "^element 1 `conv`$", "argument", "write it as"),
        ("relu 3", "element 1 `relu 3`", "relu takes no options", ""),
        ("conv 0@5x5", "", "argument", "write it as"),
        ("conv 6@5x5 strid=2", "", r"no option `strid=2` \(did you mean stride\?\)", "there are: stride, pad"),
        ("conv 6@5x5 stride=0", "", "stride must be a number such as 2, or 2x1, not `0`", ""),
        ("conv 6@5x5 pad=big", "", "pad must be a number such as 1, or 2x1, or 0:1, or same, not `big`", ""),
        ("fc classes | (relu", "^character 14$", r"the \( is not closed", ""),
        ("relu)", "^character 5$", r"a \) without its \(", ""),
        ("(relu)", "^character 7$", r"how often\?", "x3"),
        ("(relu) x0", "", "how often", ""),
        ("conv 6@5x5 stride=1 pad=1 stride=2", "", "stride is given twice", ""),
        ("conv 6@5x5 mode=nearest", "", "mode must be zeros, reflect, replicate or circular, not `nearest`", ""),
        ("up 2 mode=reflect", "", "mode must be nearest or bilinear, not `reflect`", ""),
        ("conv 99999999@3x3", "", "argument", "write it as"),
        ("(relu) x99999999", "", "how often", ""),
        ("((relu) x2000) x2", "", "4,000 elements with all repeats", "2,000 are the most"),
        ("(" * 5000, "^character 21$", "more than 20 parentheses within each other", ""),
        ("dropout 2", "", "argument", "write it as `dropout 0.5`"),
        ("padshortcut 8", "element 1", "no such element", ""),  # only blocks consist of it
    ],
)
def test_a_wrong_line_is_answered_with_the_element(line, where, what, fix):
    with raises(ModelError, where=where, what=what, fix=fix):
        parse_line(line)
