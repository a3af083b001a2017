"""Shape annotations are checked in every test: each call of striate's functions is, by beartype."""

from __future__ import annotations

from jaxtyping import install_import_hook

_hook = install_import_hook(
    # not options: their own checks are what a user meets; not charts and pages: their numbers may be whole
    [
        "striate.images",
        "striate.cache",
        "striate.datasets",
        "striate.figures",
        "striate.batching",
        "striate.layers",
        "striate.models",
        "striate.tasks",
        "striate.training.loop",
        "striate.training.training_log",
        "striate.training.schedules",
        "striate.interpret",
        "striate.sessions",
        "striate.runs",
    ],
    "beartype.beartype",
)

import io  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import tarfile  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import filelock  # noqa: E402
import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

import striate as st  # noqa: E402
from striate import api  # noqa: E402
from striate.cli.terminal import StderrHandler  # noqa: E402
from striate.runs import Run  # noqa: E402
from striate.sessions import session  # noqa: E402
from tests import made_dots  # noqa: E402
from tests.support import interrupting  # noqa: E402

# The same cases every time, so that a change is judged by itself; HYPOTHESIS_PROFILE=search looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep decoded pictures, of this process and of those that it starts, out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["STRIATE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _messages_on_stderr() -> None:
    """Write what the library logs to stderr, as commands do: tests look for it there."""
    logger = logging.getLogger("striate")
    logger.addHandler(StderrHandler())
    logger.setLevel(logging.INFO)


_report_on = api.report_on


@pytest.fixture(scope="session", autouse=True)
def _no_reports() -> Iterator[None]:
    """Have trainings write no report, for the time that it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "report_on", lambda run: None)
        yield


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings write their reports in a test all the same."""
    monkeypatch.setattr(api, "report_on", _report_on)


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """Make a picture of one colour with noise on it; the same arguments make the same picture."""

    def make(colour: tuple[int, int, int] = (128, 128, 128), *, size: tuple[int, int] = (24, 20), seed: int = 0):
        noise = np.random.default_rng(seed).integers(-20, 21, (size[1], size[0], 3))
        return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))

    return make


@pytest.fixture
def colour_folders(tmp_path: Path, picture) -> Callable[..., Path]:
    """Make a folder of class folders whose classes are told apart by colour."""
    colours = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}

    def make(
        name: str = "colours", *, classes: tuple[str, ...] = tuple(colours), images: int = 12, seed: int = 0
    ) -> Path:
        for place, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for index in range(images):
                colour = colours.get(label, (80 * place, 60, 120))
                picture(colour, seed=seed + 1000 * place + index).save(folder / f"{index}.png")
        return tmp_path / name

    return make


QUICK = {"model": "resnet20", "epochs": 3, "batch_size": 8, "size": 8, "lr": 0.01}


@pytest.fixture
def colour_run(colour_folders, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network that tells coloured pictures apart: trained for a second, once; each test gets a copy."""
    data, trained = colour_folders(), tmp_path_factory.getbasetemp() / "colour_run"
    if not trained.exists():
        st.train(data, st.TrainConfig(**QUICK, out=str(trained)))
    shutil.copytree(trained, tmp_path / "run")
    return st.load(tmp_path / "run")


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let Ctrl-C come in a step of the next training."""
    real = session.fit

    def arrange(step: int) -> None:
        monkeypatch.setattr(session, "fit", interrupting(real, step))

    return arrange


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train LeNet-5 on the built-in handwriting, as the README's first command does: once for all processes."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "digits_run"
    with filelock.FileLock(f"{place}.lock"):
        if not place.exists():
            st.train("mnist", st.TrainConfig(out=str(place)))
    return st.load(place)


@pytest.fixture(scope="session")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make pictures of two dots, joints in space."""
    return made_dots.point(tmp_path_factory.mktemp("pose"), "dots")


@pytest.fixture(scope="session")
def dots_run(dots, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train a small network to find them."""
    options = made_dots.QUICK | {"epochs": 30}
    return st.train(dots, st.TrainConfig(**options, out=str(tmp_path_factory.mktemp("pose") / "run")))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Find a file beside the project, or skip the test."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"../shared/{name} is not there")
        return path

    return find


@pytest.fixture(scope="session")
def unpacked(shared, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Unpack the wanted files of an archive of real pictures, or skip the test."""

    def unpack(archive: str, wanted: Callable[[str], bool] = lambda name: True) -> Path:
        folder = tmp_path_factory.mktemp("real")
        with tarfile.open(fileobj=io.BytesIO(shared(f"data/{archive}").read_bytes())) as tar:
            tar.extractall(folder, [member for member in tar if wanted(member.name)], filter="data")
        return folder

    return unpack
