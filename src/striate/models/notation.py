"""Architectures as text: one line in the field's own notation, element after element.

    conv 6@5x5 | tanh | avgpool 2 | (res 64) x2 | gap | flatten | fc classes

    conv C@KxK    [stride=S] [pad=P|same] [mode=zeros|reflect|replicate|circular] [dilation=D] [groups=G] [bias=no]
    deconv C@KxK  [stride=S] [pad=P] [outpad=A] [dilation=D] [groups=G] [bias=no]
    up F          [mode=nearest|bilinear]
    maxpool K, avgpool K   [stride=S] [pad=P] [ceil=yes]
    fitpool N     average pooling to N x N, whatever comes in
    gap           average over the whole feature map
    res C, bottleneck C    [stride=S] [shortcut=conv|pad]
    bn, flatten, fc N, fc classes, dropout P
    relu, relu6, leakyrelu, tanh, sigmoid, gelu, silu
    ( … ) xN      N times what is in parentheses

Every K, S, P, D, A, F and N of two axes may be AxB, height first. `parse` reads a line and checks its
grammar; whether sizes fit each other is checked where a network is made of it (`network.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from striate.errors import ModelError, nearest


@dataclass(frozen=True)
class Form:
    """How an element is written: a pattern for its argument, an example of it, and the options it takes."""

    pattern: str
    example: str
    options: tuple[str, ...] = ()


_PAIR = r"[1-9]\d*(x[1-9]\d*)?"
_NONE = Form("", "")

FORMS: dict[str, Form] = {
    "conv": Form(rf"[1-9]\d*@{_PAIR}", "conv 16@5x5", ("stride", "pad", "mode", "dilation", "groups", "bias")),
    "deconv": Form(rf"[1-9]\d*@{_PAIR}", "deconv 16@4x4", ("stride", "pad", "outpad", "dilation", "groups", "bias")),
    "up": Form(_PAIR, "up 2", ("mode",)),
    "maxpool": Form(_PAIR, "maxpool 2", ("stride", "pad", "ceil")),
    "avgpool": Form(_PAIR, "avgpool 2", ("stride", "pad", "ceil")),
    "fitpool": Form(_PAIR, "fitpool 7"),
    "gap": _NONE,
    "res": Form(r"[1-9]\d*", "res 64", ("stride", "shortcut")),
    "bottleneck": Form(r"[1-9]\d*", "bottleneck 64", ("stride", "shortcut")),
    "bn": _NONE,
    "flatten": _NONE,
    "fc": Form(r"[1-9]\d*|classes", "fc 120"),
    "dropout": Form(r"0?\.\d+|0", "dropout 0.5"),
    **dict.fromkeys(("relu", "relu6", "leakyrelu", "tanh", "sigmoid", "gelu", "silu"), _NONE),
}

_NUMBERS = r"(0|[1-9]\d*)(x(0|[1-9]\d*))?"
_OPTIONS = {
    "stride": (_PAIR, "a number such as 2, or 2x1"),
    "pad": (rf"same|{_NUMBERS}", "a number such as 1, or 2x1, or same"),
    "outpad": (_NUMBERS, "a number such as 1, or 1x0"),
    "dilation": (_PAIR, "a number such as 2, or 2x1"),
    "groups": (r"[1-9]\d*", "a number such as 2"),
    "mode": ("zeros|reflect|replicate|circular|nearest|bilinear", "zeros, reflect, replicate or circular"),
    "bias": ("yes|no", "yes or no"),
    "ceil": ("yes|no", "yes or no"),
    "shortcut": ("conv|pad", "conv or pad"),
}


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
        return f"({format(self.nodes)}) x{self.times}"


Node = Element | Repeat


def parse(text: str) -> tuple[Node, ...]:
    """Read a line.

    Raises:
        ModelError: naming the element, and its place in the line, that is not in the notation.

    >>> parse("conv 6@5x5 pad=2 | relu")
    (Element(kind='conv', argument='6@5x5', options=(('pad', '2'),)), Element(kind='relu', argument='', options=()))
    """
    return _Reader(text).line()


def format(nodes: tuple[Node, ...]) -> str:  # noqa: A001  # the counterpart of parse, as ast.parse has ast.unparse
    """Write a line: the inverse of `parse`, but for the spaces.

    >>> format(parse("(conv 6@5x5|relu)x2|  fc classes"))
    '(conv 6@5x5 | relu) x2 | fc classes'
    """
    return " | ".join(map(str, nodes))


def elements(nodes: tuple[Node, ...]) -> Iterator[Element]:
    """Yield a line's elements one by one, repeated ones as often as they come."""
    for node in nodes:
        if isinstance(node, Element):
            yield node
        else:
            for _ in range(node.times):
                yield from elements(node.nodes)


class _Reader:
    """Reads a line from left to right, keeping the place for messages."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.count = 0

    def line(self) -> tuple[Node, ...]:
        nodes = self.nodes()
        if self.place < len(self.text):
            raise ModelError(f"character {self.place + 1}: a ) without its (.")
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
        nodes = self.nodes()
        if not self.skip(")"):
            raise ModelError(f"character {start + 1}: the ( is not closed.")
        times = re.compile(r"\s*x([1-9]\d*)").match(self.text, self.place)
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
        where = f"element {self.count} {' '.join(words[0].split())!r}"
        kind, *rest = words[0].split() or [""]
        if kind not in FORMS:
            what = "is missing" if not kind else f"is none that there is{nearest(kind, FORMS)}"
            raise ModelError(f"{where} {what}; there are: {', '.join(FORMS)}.")
        form = FORMS[kind]
        argument = rest.pop(0) if form.pattern and rest and "=" not in rest[0] else ""
        if not re.fullmatch(form.pattern, argument):
            raise ModelError(f"{where}: write it as {form.example!r}.")
        return Element(kind, argument, tuple(self.option(where, form, word) for word in rest))

    def option(self, where: str, form: Form, word: str) -> tuple[str, str]:
        name, _, value = word.partition("=")
        if name not in form.options:
            known = ", ".join(form.options) or "none"
            raise ModelError(f"{where}: no option {word!r}{nearest(name, form.options)}; there are: {known}.")
        pattern, wanted = _OPTIONS[name]
        if not re.fullmatch(pattern, value):
            raise ModelError(f"{where}: {name} is {wanted}, not {value!r}.")
        return name, value

    def skip(self, mark: str) -> bool:
        """Step over a mark, if it comes next."""
        found = re.compile(rf"\s*{re.escape(mark)}\s*").match(self.text, self.place)
        if found:
            self.place = found.end()
        return bool(found)


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition("x")
    return int(first), int(second or first)
