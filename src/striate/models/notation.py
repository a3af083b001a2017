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
above x left : below x right. In max pooling, zeros of the padding never win; in average pooling they count,
both as in torch. The elements are the rows of `elements.ELEMENTS`. `parse_line` reads a line and checks its
grammar; whether sizes fit each other is checked where they are known (`plan.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from striate.errors import ModelError, nearest
from striate.models.elements import BLOCK_PARTS, ELEMENTS
from striate.models.elements.spec import COUNT, Element, ElementSpec

MOST_ELEMENTS = 2_000  # in a line, repeats written out
_DEEPEST = 20  # parentheses within parentheses


@dataclass(frozen=True)
class Repeat:
    """Elements in parentheses, repeated."""

    nodes: tuple[Node, ...]
    times: int

    def __str__(self) -> str:
        return f"({format_line(self.nodes)}) x{self.times}"


Node = Element | Repeat


def parse_line(text: str) -> tuple[Node, ...]:
    """Read a line.

    Raises:
        ModelError: naming the element, and its index in the line, that is not in the notation.

    >>> parse_line("conv 6@5x5 pad=2 | relu")
    (Element(kind='conv', argument='6@5x5', options=(('pad', '2'),)), Element(kind='relu', argument='', options=()))
    """
    return _Reader(text, ELEMENTS).line()


def parse_block_chain(text: str) -> tuple[Element, ...]:
    """Read what a block consists of: elements one after the other, or none."""
    nodes = _Reader(text, ELEMENTS | BLOCK_PARTS).line() if text else ()
    return tuple(node for node in nodes if isinstance(node, Element))


def format_line(nodes: tuple[Node, ...]) -> str:
    """Write a line: the inverse of `parse_line`, but for the spaces.

    >>> format_line(parse_line("(conv 6@5x5|relu)x2|  fc classes"))
    '(conv 6@5x5 | relu) x2 | fc classes'
    """
    return " | ".join(map(str, nodes))


def elements(nodes: tuple[Node, ...]) -> Iterator[tuple[int, Element]]:
    """Yield a line's elements with their numbers in it, from 1, repeated ones as often as they come."""
    return _elements(nodes, 1)


def _elements(nodes: tuple[Node, ...], number: int) -> Iterator[tuple[int, Element]]:
    for node in nodes:
        if isinstance(node, Element):
            yield number, node
        else:
            for _ in range(node.times):
                yield from _elements(node.nodes, number)
        number += _count(node, unrolled=False)


def _count(node: Node, *, unrolled: bool) -> int:
    """Count a node's elements, as they are written or with repeats written out."""
    if isinstance(node, Element):
        return 1
    return sum(_count(child, unrolled=unrolled) for child in node.nodes) * (node.times if unrolled else 1)


class _Reader:
    """Reads a line from left to right; its position is for messages.

    Args:
        text: The line.
        specs: The elements that there are, by kind.
    """

    def __init__(self, text: str, specs: Mapping[str, ElementSpec]) -> None:
        self.text = text
        self.specs = specs
        self.position = 0
        self.count = 0
        self.depth = 0

    def line(self) -> tuple[Node, ...]:
        nodes = self.nodes()
        if self.position < len(self.text):
            raise ModelError(f"character {self.position + 1}", "a ) without its (")
        count = sum(_count(node, unrolled=True) for node in nodes)
        if count > MOST_ELEMENTS:
            raise ModelError("", f"{count:,} elements with all repeats", f"{MOST_ELEMENTS:,} are the most")
        return nodes

    def nodes(self) -> tuple[Node, ...]:
        """Read nodes up to the end of the line or to a closing parenthesis."""
        nodes = [self.node()]
        while self.skip("|"):
            nodes.append(self.node())
        return tuple(nodes)

    def node(self) -> Node:
        start = f"character {self.position + 1}"
        if not self.skip("("):
            return self.element()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ModelError(start, f"more than {_DEEPEST} parentheses within each other")
        nodes = self.nodes()
        self.depth -= 1
        if not self.skip(")"):
            raise ModelError(start, "the ( is not closed")
        times = re.compile(rf"\s*x({COUNT})(?!\d)").match(self.text, self.position)
        if not times:
            raise ModelError(f"character {self.position + 1}", "how often?", "write a number such as x3 after the )")
        self.position = times.end()
        return Repeat(nodes, int(times[1]))

    def element(self) -> Element:
        """Read one element, up to the next |, ( or )."""
        words = re.compile(r"[^|()]*").match(self.text, self.position)
        assert words
        self.position = words.end()
        self.count += 1
        kind, *rest = words[0].split() or [""]
        known = f"there are: {', '.join(self.specs)}"
        if not kind:
            raise ModelError(f"element {self.count}", "is missing", known)
        where = f"element {self.count} `{' '.join(words[0].split())}`"
        if kind not in self.specs:
            raise ModelError(where, f"there is no such element{nearest(kind, self.specs)}", known)
        form = self.specs[kind].form
        argument = rest.pop(0) if form.pattern and rest and "=" not in rest[0] else ""
        if not re.fullmatch(form.pattern, argument):
            raise ModelError(where, "its argument is missing or wrong", f"write it as `{form.example}`")
        options = tuple(self.option(kind, where, word) for word in rest)
        names = [name for name, _ in options]
        if len(set(names)) < len(names):
            raise ModelError(where, f"{max(names, key=names.count)} is given twice")
        return Element(kind, argument, options)

    def option(self, kind: str, where: str, word: str) -> tuple[str, str]:
        name, _, value = word.partition("=")
        options = self.specs[kind].form.options
        if not options:
            raise ModelError(where, f"{kind} takes no options")
        if name not in options:
            raise ModelError(where, f"no option `{word}`{nearest(name, options)}", f"there are: {', '.join(options)}")
        if not re.fullmatch(options[name].pattern, value):
            raise ModelError(where, f"{name} must be {options[name].wording}, not `{value}`")
        return name, value

    def skip(self, mark: str) -> bool:
        """Step over a mark, if it comes next."""
        match = re.compile(rf"\s*{re.escape(mark)}\s*").match(self.text, self.position)
        if match:
            self.position = match.end()
        return bool(match)
