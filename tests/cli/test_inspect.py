"""striate inspect, and networks written as lines, from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import striate as st
from striate.cli import main
from striate.models import MODELS
from striate.models.drawing import draw_network

LINE = "conv 8@3x3 pad=1 mode=reflect | bn | relu | maxpool 2 | deconv 6@3x3 stride=2 | gap | fc classes"


def test_json_has_a_row_for_each_layer_and_totals(capsys):
    assert main(["inspect", "vgg16", "--input", "3x224x224", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"layers", "parameters", "macs", "activation_bytes"} <= set(document)
    for layer in document["layers"]:
        assert {"name", "kind", "output_shape", "parameters", "macs", "receptive_field", "jump"} <= set(layer)
    assert document["parameters"] == sum(layer["parameters"] for layer in document["layers"]) == 138_357_544
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"])
    last = [layer for layer in document["layers"] if layer["kind"] == "maxpool"][-1]
    assert (last["name"], last["output_shape"]) == ("features.30", [512, 7, 7])
    assert (last["receptive_field"], last["jump"]) == (212, 32)
    assert document["layers"][-1]["receptive_field"] is None


def test_the_table_shows_windows_shapes_cost_and_what_units_see(capsys):
    assert main(["inspect", LINE, "--input", "3x20x30", "--classes", "4"]) == 0
    told = capsys.readouterr().out
    rows = [" ".join(row.split()) for row in told.splitlines()]
    assert "features.0 conv 8 mode=reflect 3x3 / 1 / 1 8x20x30 224 129,600 3" in rows
    assert "features.3 maxpool 2 2x2 / 2 / 0 8x10x15 – – 4" in rows
    assert "classifier.0 fc 4 4 28 24 all" in rows
    assert "Note: element 5 `deconv 6@3x3 stride=2`: its kernel is no multiple of its stride" in told


@pytest.mark.parametrize("name", MODELS)
def test_the_lines_of_all_architectures_are_inspected_as_lines(name, capsys):
    architecture = MODELS[name]
    shape = "x".join(map(str, architecture.input))
    assert main(["inspect", architecture.line, "--input", shape, "--classes", str(architecture.classes), "--json"]) == 0
    by_line = json.loads(capsys.readouterr().out)
    assert main(["inspect", name, "--json"]) == 0
    by_name = json.loads(capsys.readouterr().out)
    for document in (by_line, by_name):
        for layer in document["layers"]:
            del layer["name"]
    assert by_line == by_name


def test_padding_is_shown_whoever_does_it(capsys):
    assert main(["inspect", "maxpool 3 pad=same ceil=yes | maxpool 3 stride=2 pad=0:1", "--input", "1x8x8"]) == 0
    told = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert "features.0 maxpool 3 ceil=yes 3x3 / 3 / 0:1 1x3x3 – – 3" in told
    assert "features.1 maxpool 3 3x3 / 2 / 0:1 1x1x1 – – 9" in told


def test_a_run_is_inspected_with_its_own_images_and_classes(colour_run, capsys):
    assert main(["inspect", str(colour_run.folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["input"] == [3, 8, 8]
    assert document["layers"][-1]["output_shape"] == [3]
    assert document["parameters"] == sum(parameter.numel() for parameter in colour_run.model.parameters())
    assert main(["inspect", str(colour_run.folder), "--input", "3x32x32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input"] == [3, 32, 32]


def test_no_torch_is_loaded_for_a_look():
    code = "import sys; from striate.cli import main; main(['inspect', 'resnet50']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", [*MODELS, LINE])
def test_drawings_are_pages_of_svg_with_sheets_to_scale(name):
    plan = st.models.plan_network(name, (3, 96, 64))
    root = ElementTree.fromstring(draw_network(plan))
    names = {"svg": "http://www.w3.org/2000/svg"}
    width, height = (float(root.get(side)) for side in ("width", "height"))
    texts = [text.text for text in root.iterfind(".//svg:text", names)]
    assert texts[0] == "3@96x64"
    assert f"{plan.cost.parameters:,} parameters" in texts[-1]
    sheets = [
        rect for rect in root.iterfind(".//svg:rect", names) if rect.get("fill").startswith("#") and rect.get("x")
    ]
    assert float(sheets[0].get("height")) / float(sheets[0].get("width")) == pytest.approx(1.5)
    for rect in sheets:
        assert 0 <= float(rect.get("x")) <= float(rect.get("x")) + float(rect.get("width")) <= width
        assert 0 <= float(rect.get("y")) <= float(rect.get("y")) + float(rect.get("height")) <= height


def test_a_drawing_is_written_where_it_is_asked_for(tmp_path, capsys):
    path = tmp_path / "net.svg"
    assert main(["inspect", "lenet5", "--draw", str(path)]) == 0
    assert path.read_text().startswith("<svg")
    assert f"saved: {path}" in capsys.readouterr().out


def test_a_line_is_trained_used_and_loaded_as_any_model(colour_folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = str(colour_folders("colours"))
    assert main(["train", data, "--model", LINE, "--epochs", "4", "--batch-size", "8", "--size", "12", "--json"]) == 0
    told = capsys.readouterr()
    assert "element 5 `deconv 6@3x3 stride=2`: its kernel is no multiple" in told.err
    summary = json.loads(told.out)
    assert summary["run"] == "runs/classify/colours-line"
    assert summary["model"] == LINE
    run = st.load(summary["run"])
    assert run.record.line == LINE
    assert (run.model.channels, run.model.strides) == ((6, 8), (1, 2))
    assert main(["predict", summary["run"], data, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 36


def test_a_small_stem_is_kept_with_the_run(colour_folders, tmp_path):
    options = {"model": "resnet18", "epochs": 1, "batch_size": 8, "size": 8}
    run = st.train(colour_folders(), st.TrainConfig(**options, out=str(tmp_path / "small")))
    assert run.record.line.startswith("conv 64@3x3 pad=1 bias=no | bn | relu | (res 64) x2")
    assert st.load(run.folder).model.conv1.kernel_size == (3, 3)
    run = st.train(colour_folders("again"), st.TrainConfig(**options, stem="large", out=str(tmp_path / "large")))
    assert st.load(run.folder).model.conv1.kernel_size == (7, 7)
