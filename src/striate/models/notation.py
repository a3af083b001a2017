"""Architectures as text: one line in the field's own notation, element after element.

    conv 6@5x5 | tanh | avgpool 2 | (res 64) x2 | gap | flatten | fc classes

    conv C@KxK     convolution to C feature maps
                   [stride=S] [pad=P|same] [mode=zeros|reflect|replicate|circular] [dilation=D] [groups=G] [bias=no]
    deconv C@KxK   transposed convolution, starting as bilinear upsampling (at the borders with mode=replicate)
                   [stride=S] [pad=P] [mode=zeros|…] [outpad=A] [dilation=D] [groups=G] [bias=no]
    up F           upsampling by a whole factor; a convolution behind it makes it the other way up
                   [mode=nearest|bilinear]
    maxpool K, avgpool K
                   [stride=S, else K] [pad=P|same] [mode=zeros|…] [ceil=yes]
    fitpool N      average pooling to N x N, whatever comes in
    gap            global average pooling: the mean of each feature map
    res C          residual block of two 3x3 convolutions with batch norm, He et al. 2015
    bottleneck C   residual block of 1x1, 3x3 and 1x1 convolutions, C inside and 4C outside
                   [stride=S] [shortcut=conv|pad]
    mbconv C@KxK   inverted residual block: 1x1 convolution to E times the channels, depthwise KxK, 1x1 to C, each with
                   batch norm, Sandler et al. 2018; [stride=S] [expand=E, else 6]
    bn             batch norm; [eps=E, else 0.00001] is added to the variance
    flatten, dropout P
    fc N, fc classes
    relu, relu6, leakyrelu, tanh, sigmoid, gelu, silu
    ( … ) xN       N times what is in parentheses

Every K, S, P, D, A, F and N of two axes may be AxB, height first; numbers go up to 9,999,999. Padding may
differ from side to side: pad=0:1 adds nothing above and left and one below and right; pad=0x1:2x0 is
above x left : below x right. In max pooling, places of padding with zeros never win; in average pooling
they count, both as in torch. `parse_line` reads a line and checks its grammar; whether sizes fit each other is
checked where they are known (`plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from striate.errors import ModelError, nearest
from striate.geometry import PADDING_MODES

MOST_ELEMENTS = 2_000  # in a line, repeats written out
_DEEPEST = 20  # parentheses within parentheses


@dataclass(frozen=True)
class Value:
    """What an option may be: a pattern, and the same in words."""

    pattern: str
    wanted: str


@dataclass(frozen=True)
class Form:
    """How an element is written: a pattern for its argument, an example of it, and the options it takes."""

    pattern: str = ""
    example: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)


_COUNT = r"[1-9]\d{0,6}"
_PAIR = rf"{_COUNT}(x{_COUNT})?"
_NUMBERS = rf"(0|{_COUNT})(x(0|{_COUNT}))?"
_STEPS = Value(_PAIR, "a number such as 2, or 2x1")
_CUT = Value(rf"{_NUMBERS}(:{_NUMBERS})?", "a number such as 1, or 2x1, or 0:1")
_PADDING = Value(rf"same|{_CUT.pattern}", f"{_CUT.wanted}, or same")
_BORDER = Value("|".join(PADDING_MODES), f"{', '.join(PADDING_MODES[:-1])} or {PADDING_MODES[-1]}")
_SWITCH = Value("yes|no", "yes or no")
_SMALL = Value(r"0?\.0*[1-9]\d*", "a number such as 0.001")
_GROUPS = Value(_COUNT, "a number such as 2")
_CONVOLUTION = {"mode": _BORDER, "dilation": _STEPS, "groups": _GROUPS, "bias": _SWITCH}
_POOLING = {"stride": _STEPS, "pad": _PADDING, "mode": _BORDER, "ceil": _SWITCH}
_RESIDUAL = {"stride": _STEPS, "shortcut": Value("conv|pad", "conv or pad")}

FORMS: dict[str, Form] = {
    "conv": Form(rf"{_COUNT}@{_PAIR}", "conv 16@5x5", {"stride": _STEPS, "pad": _PADDING, **_CONVOLUTION}),
    "deconv": Form(
        rf"{_COUNT}@{_PAIR}",
        "deconv 16@4x4",
        {"stride": _STEPS, "pad": _CUT, "outpad": Value(_NUMBERS, "a number such as 1, or 1x0"), **_CONVOLUTION},
    ),
    "up": Form(_PAIR, "up 2", {"mode": Value("nearest|bilinear", "nearest or bilinear")}),
    "maxpool": Form(_PAIR, "maxpool 2", _POOLING),
    "avgpool": Form(_PAIR, "avgpool 2", _POOLING),
    "fitpool": Form(_PAIR, "fitpool 7"),
    "gap": Form(),
    "res": Form(_COUNT, "res 64", _RESIDUAL),
    "bottleneck": Form(_COUNT, "bottleneck 64", _RESIDUAL),
    "mbconv": Form(rf"{_COUNT}@{_PAIR}", "mbconv 24@3x3", {"stride": _STEPS, "expand": _GROUPS}),
    "bn": Form(options={"eps": _SMALL}),
    "flatten": Form(),
    "fc": Form(rf"{_COUNT}|classes", "fc classes"),
    "dropout": Form(r"0?\.\d+|0", "dropout 0.5"),
    **dict.fromkeys(("relu", "relu6", "leakyrelu", "tanh", "sigmoid", "gelu", "silu"), Form()),
}


BLOCKS = ("res", "bottleneck", "mbconv")
"""Elements that are several layers, with an input that may be added to what comes out."""


@dataclass(frozen=True)
class Element:
    """One element of a line: its kind, its argument and its options as they were written."""

    kind: str
    argument: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.kind, *([self.argument] if self.argument else []), *map("=".join, self.options)])

    def option(self, name: str, default: str) -> str:
        """Return an option as text."""
        return dict(self.options).get(name, default)

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """Return an option that has a number for each axis, height first."""
        return _pair(self.option(name, str(default)))

    @property
    def stride(self) -> tuple[int, int]:
        """The stride, height first; where none is written that of pooling is its kernel, of the others 1."""
        if self.kind.endswith("pool") and not self.option("stride", ""):
            return self.kernel
        return self.pair("stride", 1)

    @property
    def groups(self) -> int:
        """Into how many the channels are parted."""
        return int(self.option("groups", "1"))

    @property
    def bias(self) -> bool:
        """Whether a convolution has one."""
        return self.option("bias", "yes") == "yes"

    @property
    def sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The padding: above and below, left and right; not where it is `same`."""
        before, _, after = self.option("pad", "0").partition(":")
        (top, left), (bottom, right) = _pair(before), _pair(after or before)
        return (top, bottom), (left, right)

    @property
    def channels(self) -> int:
        """The number in front of @, or the argument where it is one number."""
        return int(self.argument.partition("@")[0])

    @property
    def kernel(self) -> tuple[int, int]:
        """The numbers behind @, or the argument where there is none, height first."""
        return _pair(self.argument.rpartition("@")[2])


@dataclass(frozen=True)
class Repeat:
    """Elements in parentheses, and how often they come."""

    nodes: tuple[Node, ...]
    times: int

    def __str__(self) -> str:
        return f"({format_line(self.nodes)}) x{self.times}"


Node = Element | Repeat


def parse_line(text: str) -> tuple[Node, ...]:
    """Read a line.

    Raises:
        ModelError: naming the element, and its place in the line, that is not in the notation.

    >>> parse_line("conv 6@5x5 pad=2 | relu")
    (Element(kind='conv', argument='6@5x5', options=(('pad', '2'),)), Element(kind='relu', argument='', options=()))
    """
    return _Reader(text).line()


def format_line(nodes: tuple[Node, ...]) -> str:
    """Write a line: the inverse of `parse_line`, but for the spaces.

    >>> format_line(parse_line("(conv 6@5x5|relu)x2|  fc classes"))
    '(conv 6@5x5 | relu) x2 | fc classes'
    """
    return " | ".join(map(str, nodes))


def elements(nodes: tuple[Node, ...]) -> Iterator[tuple[int, Element]]:
    """Yield a line's elements with their places in it, from 1, repeated ones as often as they come."""
    return _elements(nodes, 1)


def _elements(nodes: tuple[Node, ...], place: int) -> Iterator[tuple[int, Element]]:
    for node in nodes:
        if isinstance(node, Element):
            yield place, node
        else:
            for _ in range(node.times):
                yield from _elements(node.nodes, place)
        place += _count(node, unrolled=False)


def _count(node: Node, *, unrolled: bool) -> int:
    """Count a node's elements, as they are written or as they come."""
    if isinstance(node, Element):
        return 1
    return sum(_count(inner, unrolled=unrolled) for inner in node.nodes) * (node.times if unrolled else 1)


class _Reader:
    """Reads a line from left to right, keeping the place for messages."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.count = 0
        self.depth = 0

    def line(self) -> tuple[Node, ...]:
        nodes = self.nodes()
        if self.place < len(self.text):
            raise ModelError(f"character {self.place + 1}: a ) without its (.")
        count = sum(_count(node, unrolled=True) for node in nodes)
        if count > MOST_ELEMENTS:
            raise ModelError(f"{count:,} elements with all repeats; {MOST_ELEMENTS:,} are the most.")
        return nodes

    def nodes(self) -> tuple[Node, ...]:
        """Read nodes up to the end of the line or to a closing parenthesis."""
        found = [self.node()]
        while self.skip("|"):
            found.append(self.node())
        return tuple(found)

    def node(self) -> Node:
        start = self.place
        if not self.skip("("):
            return self.element()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ModelError(f"character {start + 1}: more than {_DEEPEST} parentheses within each other.")
        nodes = self.nodes()
        self.depth -= 1
        if not self.skip(")"):
            raise ModelError(f"character {start + 1}: the ( is not closed.")
        times = re.compile(rf"\s*x({_COUNT})(?!\d)").match(self.text, self.place)
        if not times:
            raise ModelError(f"character {self.place + 1}: how often? After ) comes a number such as x3.")
        self.place = times.end()
        return Repeat(nodes, int(times[1]))

    def element(self) -> Element:
        """Read one element, up to the next |, ( or )."""
        words = re.compile(r"[^|()]*").match(self.text, self.place)
        assert words
        self.place = words.end()
        self.count += 1
        where = f"element {self.count} `{' '.join(words[0].split())}`"
        kind, *rest = words[0].split() or [""]
        if not kind:
            raise ModelError(f"element {self.count} is missing; there are: {', '.join(FORMS)}.")
        if kind not in FORMS:
            raise ModelError(f"{where} is none that there is{nearest(kind, FORMS)}; there are: {', '.join(FORMS)}.")
        form = FORMS[kind]
        argument = rest.pop(0) if form.pattern and rest and "=" not in rest[0] else ""
        if not re.fullmatch(form.pattern, argument):
            raise ModelError(f"{where}: write it as `{form.example}`.")
        options = tuple(self.option(kind, where, word) for word in rest)
        names = [name for name, _ in options]
        if len(set(names)) < len(names):
            raise ModelError(f"{where}: {max(names, key=names.count)} is given twice.")
        return Element(kind, argument, options)

    def option(self, kind: str, where: str, word: str) -> tuple[str, str]:
        name, _, value = word.partition("=")
        form = FORMS[kind]
        if name not in form.options:
            if not form.options:
                raise ModelError(f"{where}: {kind} takes no options.")
            known = ", ".join(form.options)
            raise ModelError(f"{where}: no option `{word}`{nearest(name, form.options)}; there are: {known}.")
        allowed = form.options[name]
        if not re.fullmatch(allowed.pattern, value):
            raise ModelError(f"{where}: {name} is {allowed.wanted}, not `{value}`.")
        return name, value

    def skip(self, mark: str) -> bool:
        """Step over a mark, if it comes next."""
        found = re.compile(rf"\s*{re.escape(mark)}\s*").match(self.text, self.place)
        if found:
            self.place = found.end()
        return bool(found)


def pair_text(down: object, across: object) -> str:
    """Write two numbers as the notation does: `2`, or `2x1` where they differ."""
    return str(down) if down == across else f"{down}x{across}"


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition("x")
    return int(first), int(second or first)
