"""Pages: valid HTML in one file, whose images decode, and that a browser shows without a complaint."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html import escape
from importlib.resources import files
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image
from tests.support import raises

import striate as st
from striate.cli import main
from striate.cli.explain import Command
from striate.errors import ConfigError, DataError, ModelError
from striate.reports.charts import line_chart
from striate.reports.page import Page, Section, chart_figures, image_figure
from striate.reports.report import write_report
from striate.runs import load

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def check(path: Path) -> str:
    """Parse a page strictly, decode its images, and see that it needs nothing from elsewhere; returns its text."""
    text = path.read_text()
    html5lib.HTMLParser(strict=True).parse(text)
    assert len(text) < 5_000_000
    uris = re.findall(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)", text)
    assert uris
    for uri in uris:
        Image.open(io.BytesIO(base64.b64decode(uri))).load()
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http" not in text.replace("http-equiv", "")
    return text


@pytest.fixture(scope="module")
def reported(tmp_path_factory, digits_run):
    """The report of a network that reads digits."""
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(digits_run.folder, folder)
    return write_report(load(folder), depths=3)


def test_a_report_says_it_all_in_one_file(reported):
    text = check(reported)
    for words in ("How it learned", "By class", "How far its probabilities can be trusted", "Its worst mistakes",
                  "Where it is least confident", "Its data", "What its first layer looks for", "From pixels to meaning",
                  "most frequent class", "called ", "What is taken for something else most often"):  # fmt: skip
        assert words in text, words
    assert len(re.findall("data-thumbnail=", text)) > 400  # points at some depths


@pytest.fixture(scope="module")
def explained(tmp_path_factory, reported):
    """A page that explains a digit."""
    folder = tmp_path_factory.mktemp("explain")
    Image.fromarray(st.open_data("mnist").split("val").images.pixels[0]).save(folder / "digit.png")
    assert main(["explain", str(reported.parent), str(folder / "digit.png"), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("page", ["reported", "explained"])
def test_a_browser_shows_pages_without_a_complaint(page, width, tmp_path, request):
    # within a frame: a window may not be as narrow as a phone
    shown = request.getfixturevalue(page).read_text()
    probe = "<script>parent.document.title = document.documentElement.scrollWidth + ' of ' + innerWidth;</script>"
    frame = tmp_path / "frame.html"
    content = escape(shown.replace("</body>", f"{probe}</body>"))
    style = f'width="{width}" height="900" style="border:0"'
    frame.write_text(f'<!DOCTYPE html><iframe {style} srcdoc="{content}"></iframe>')
    result = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,900", "--dump-dom",
         "--enable-logging=stderr", "--v=0", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in result.stderr
    scrolled, seen = map(int, re.search(r"<title>(\d+) of (\d+)</title>", result.stdout).groups())
    assert seen in range(width - 20, width + 1)  # but for a scroll bar
    assert scrolled <= seen


def test_the_end_of_a_training_leaves_a_report(colour_folders, tmp_path, reports):
    run = st.train(colour_folders(), st.TrainConfig(model="resnet20", size=8, epochs=2, out=str(tmp_path / "run")))
    assert "How it learned" in check(run.folder / "report.html")


def test_a_report_without_its_data_says_so(colour_run, tmp_path, capsys):
    assert main(["report", str(colour_run.folder), "--data", str(tmp_path / "gone"), "--json"]) == 2
    capsys.readouterr()
    assert not (colour_run.folder / "report.html").exists()
    record = json.loads((colour_run.folder / "run.json").read_text())
    record["data"]["location"] = str(tmp_path / "gone")
    (colour_run.folder / "run.json").write_text(json.dumps(record))
    assert main(["report", str(colour_run.folder), "--json"]) == 0
    said = capsys.readouterr()
    assert "the run's images are not at hand, so report.html is without them" in said.err
    path = Path(json.loads(said.out)["report"])
    assert write_report(load(colour_run.folder)).name == "report-without-images.html"  # and what is there stays
    text = path.read_text()
    assert "They are not at hand" in text
    assert "How it learned" in text


def test_reports_of_poses_and_masks(dots_run, tmp_path):
    folder = tmp_path / "pose"
    shutil.copytree(dots_run.folder, folder)
    text = check(write_report(load(folder)))
    assert "off on average" in text
    assert "By joint" in text
    assert ">joint</th>" in text.partition("Its data")[2]
    line = "conv 6@3x3 pad=1 | bn | relu | maxpool 2 | conv 8@3x3 pad=1 | bn | relu | gap | fc classes"
    options = {"model": line, "task": "segment", "epochs": 1, "size": 32, "precision": "float32"}
    run = st.train("figures:30", st.TrainConfig(**options, out=str(tmp_path / "segment")))
    text = check(write_report(run))
    assert "of the pixels are right" in text
    assert "pixels in train" in text
    assert "From pixels to meaning" in text


def test_explain_writes_a_page(colour_run, colour_folders, tmp_path, capsys, monkeypatch):
    image = next((tmp_path / "colours").rglob("*.png"))
    out = tmp_path / "page.html"
    assert main(["explain", str(colour_run.folder), str(image), "--out", str(out)]) == 0
    text = check(out)
    for words in (
        "What it says",
        "Grad-CAM",
        "random weights",
        "The slow check",
        "most alike",
        "channel ",
        "How confident it is",
    ):
        assert words in text, words
    assert main(["explain", str(colour_run.folder), "--layer", "conv1", "--matrix", "--out", str(out)]) == 2
    assert "there is something already" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    for name in ("explain.html", "explain-2.html"):
        assert main(["explain", str(colour_run.folder), "--layer", "conv1", "--matrix"]) == 0
        assert "singular value" in check(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "error", "where", "what", "fix"),
    [
        ({"layer": "layer1.9"}, ModelError, "", r"no layer 'layer1.9' \(did you mean layer1\.", ""),
        ({"of": "gren"}, ConfigError, "^of$", r"no class 'gren' \(did you mean green\?\)", "it knows blue, green, red"),
        ({"layer": "gap"}, ConfigError, "^layer$", "gap gives no maps", "layers that do: "),
        ({"images": ("nothing.png",)}, DataError, "", "cannot be read", ""),
        ({"images": ()}, ConfigError, "^images$", "images to explain, or --layer NAME --matrix", ""),
        ({"images": (), "layer": "relu", "matrix": True}, ModelError, "ReLU", "cannot be drawn as a matrix", ""),
        ({"images": (), "matrix": True}, ConfigError, "^matrix$", "no --layer", "name the layer"),
        (
            {"images": (), "layer": "conv1", "matrix": True, "of": "red"},
            ConfigError,
            "^matrix$",
            "without images",
            "--of",
        ),
        ({"out": "page.txt"}, ConfigError, "^out$", "must end in .html", ""),
        ({"images": ("IMAGE",) * 13}, ConfigError, "^images$", "at most 12 .* not 13", "name some"),
    ],
)
def test_what_cannot_be_explained(colour_run, tmp_path, monkeypatch, options, error, where, what, fix):
    monkeypatch.chdir(tmp_path)
    image = str(next((tmp_path / "colours").rglob("*.png")))
    images = tuple(image if name == "IMAGE" else name for name in options.get("images", ("IMAGE",)))
    with raises(error, where=where, what=what, fix=fix):
        Command(run_folder=str(colour_run.folder), **options | {"images": images}).run()
    assert not (tmp_path / "explain.html").exists()


def test_a_damaged_image_is_named(colour_run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with raises(DataError, where=r"bad\.png$"):
        colour_run.explain(tmp_path / "bad.png")


def test_a_page_writes_what_it_is_given_as_text(tmp_path):
    section = Section("<i>")
    section.table(["a"], [["<script>"]])
    chart = line_chart({"<u>": ([1, 2], [3, 4])}, x_label="<s>", y_label='"')
    section.figures([image_figure(np.zeros((2, 2, 3), np.uint8), "<p>"), *chart_figures((chart, "<q>"))])
    html = Page("<b> & 'so'", "<a>", [section]).html()
    html5lib.HTMLParser(strict=True).parse(html)
    for tag in ("<script>", "<b>", "<i>", "<u>", "<s>", "<q>", "<a>"):
        assert tag not in html
        assert escape(tag) in html
    assert "&lt;b&gt; &amp; " in html


def test_templates_and_styles_are_package_data():
    package = files("striate.reports")
    names = {f"{folder}/{entry.name}" for folder in ("templates", "static") for entry in (package / folder).iterdir()}
    wanted = {"templates/page.html.j2", "templates/blocks.html.j2", "static/page.css", "static/thumbnails.js"}
    assert wanted <= names
