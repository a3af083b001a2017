"""Published weights, brought here and read: from a package, the Hugging Face hub, or the web.

torch's own format is read in this file alone, and only where the file's SHA-256 is in our tables: it could run code.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import io
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from striate.errors import ModelError, WeightsError, listing
from striate.models.architecture import Architecture
from striate.models.network import Network
from striate.models.pretrained.published import Hub, Package, PublishedWeights, Web
from striate.models.pretrained.transfer import shape_text
from striate.system.machine import cache_folder
from striate.system.progress import progress_bar, progress_reporter

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 20
_COUNTER = ".num_batches_tracked"  # of batch norms, which need it for nothing here
INSTALL = "pip install 'striate[imagenet]'"


def weights_folder() -> Path:
    """Return the folder where fetched weights are kept."""
    return cache_folder() / "weights"


def require_published(model: str, architecture: Architecture) -> PublishedWeights:
    """Return the description of an architecture's published weights; raises ModelError if there are none."""
    if architecture.published is None:
        raise ModelError(model, "there are no published weights of it")
    return architecture.published


def load_published(model: str, architecture: Architecture) -> dict[str, Tensor]:
    """Return an architecture's published weights, fetched if need be, under our names.

    Raises:
        ModelError: there are none.
        WeightsError: they are damaged, or cannot be had.
    """
    return read_weights(model, architecture, fetch_weights(model, require_published(model, architecture)))


def find_weights(published: PublishedWeights) -> Path | None:
    """Return the file of published weights if it is on this machine, installed or fetched before, else None."""
    origin = published.origin
    fetched = weights_folder() / origin.name
    if fetched.exists():
        return fetched
    if isinstance(origin, Package):
        spec = importlib.util.find_spec(origin.module)
        folders = spec.submodule_search_locations if spec else None
        path = Path(next(iter(folders))) / origin.path if folders else None
        return path if path and path.exists() else None
    if isinstance(origin, Hub) and importlib.util.find_spec("huggingface_hub"):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(origin.repo, origin.path)
        return Path(cached) if isinstance(cached, str) else None
    return None


def fetch_weights(model: str, published: PublishedWeights) -> Path:
    """Return the file of published weights, fetched if it is not on this machine yet.

    Raises:
        WeightsError: It cannot be fetched; the error says which file to fetch, and where to put it.
    """
    path = find_weights(published)
    if path:
        return path
    origin = published.origin
    if isinstance(origin, Package):
        raise WeightsError(model, "its ImageNet weights are not installed", INSTALL)
    if isinstance(origin, Hub):
        return _from_hub(model, origin)
    return _from_web(model, origin)


def read_weights(model: str, architecture: Architecture, path: Path) -> dict[str, Tensor]:
    """Read the file of an architecture's published weights, under our names.

    Raises:
        WeightsError: the file is damaged, or another one than was published.
        ModelError: its entries are not those of the architecture; the first three that differ are named.
    """
    origin = require_published(model, architecture).origin
    if isinstance(origin, Hub):
        return rename_entries(model, architecture, read_safetensors(path))
    content = _published_content(path, origin.sha256)
    if content is None:
        raise WeightsError(str(path), "its SHA-256 is not that of the published file, so it is not opened", "remove it")
    return rename_entries(model, architecture, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises WeightsError if it is missing or damaged."""
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise WeightsError(str(path), "there is no such file") from None
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(str(path), "damaged, or not a safetensors file", notes=(reason,)) from None


def rename_entries(model: str, architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring published weights under our names, and 1x1 convolutions to the fully connected layers that they are.

    Raises:
        ModelError: the entries are not those of the architecture; the first three that differ are named.
    """
    names = require_published(model, architecture).names
    with torch.device("meta"):  # names and shapes alone
        own = Network.from_plan(architecture.plan()).state_dict()
    renamed = {}
    for name, value in weights.items():
        module, _, entry = name.rpartition(".")
        ours = f"{names.get(module, module)}.{entry}".lstrip(".")
        fully_connected = ours in own and own[ours].ndim == 2 and value.ndim == 4
        renamed[ours] = value.flatten(1) if fully_connected else value
    counters = [name for name in own if name.endswith(_COUNTER)]  # some leave them out
    renamed |= {name: torch.zeros((), dtype=torch.int64) for name in counters if name not in renamed}
    wrong = [f"{name} is missing" for name in own if name not in renamed]
    wrong += [f"{name} is not in it" for name in renamed if name not in own and not name.endswith(_COUNTER)]
    wrong += [
        f"{name} is {shape_text(renamed[name])}, not {shape_text(value)}"
        for name, value in own.items()
        if name in renamed and renamed[name].shape != value.shape
    ]
    if wrong:
        raise ModelError(model, f"these are not its weights: {listing(wrong, most=3)}")
    return {name: renamed[name] for name in own}


def _published_content(path: Path, sha256: str) -> bytes | None:
    """Read a file once, so that what is opened is what was hashed; None if it is not the published one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(str(path), f"cannot be read ({error.strerror})") from None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def _from_hub(model: str, origin: Hub) -> Path:
    """Fetch a file from the hub, into the hub's own cache; its client retries, and heeds proxies and HF_*."""
    if not importlib.util.find_spec("huggingface_hub"):
        raise WeightsError(model, "its ImageNet weights come from the Hugging Face hub", INSTALL)
    import huggingface_hub
    import huggingface_hub.utils as hub

    logger.info(f"fetching {origin.repo} from the Hugging Face hub")
    loud = hub.logging.get_verbosity()
    hub.logging.set_verbosity(logging.ERROR)  # not each retry and its reason
    silent = progress_reporter() is None and not hub.are_progress_bars_disabled()  # type: ignore[attr-defined]  # public, by its documentation
    if silent:
        hub.disable_progress_bars()  # type: ignore[attr-defined]
    url = huggingface_hub.hf_hub_url(origin.repo, origin.path)
    try:
        huggingface_hub.get_hf_file_metadata(url)  # asks once; a download would ask for 20 s before it gave up
        return Path(huggingface_hub.hf_hub_download(origin.repo, origin.path))
    except Exception as error:  # a missing network shows in many kinds of exceptions
        raise _out_of_reach(model, url, origin.name, error) from None
    finally:
        hub.logging.set_verbosity(loud)
        if silent:
            hub.enable_progress_bars()  # type: ignore[attr-defined]


def _from_web(model: str, origin: Web) -> Path:
    """Fetch a file from the web, once for all processes; a part is resumed, and proxies are heeded."""
    import filelock

    path = weights_folder() / origin.name
    logger.info(f"fetching {origin.url}")
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise OSError("HF_HUB_OFFLINE is set")
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            if not path.exists():  # else another process was faster
                _download(origin, path)
    except (OSError, http.client.HTTPException) as error:  # URLError among the first
        raise _out_of_reach(model, origin.url, origin.name, error) from None
    return path


def _download(origin: Web, path: Path) -> None:
    """Fetch a published file.

    Raises:
        OSError: It does not arrive completely.
        WeightsError: Another file arrives.
    """
    part = path.with_suffix(".part")
    _download_rest(origin, part)
    if _published_content(part, origin.sha256) is None:
        part.unlink(missing_ok=True)
        raise WeightsError(origin.url, "its SHA-256 is not that of the published file, so it was removed", "try again")
    part.replace(path)


def _download_rest(origin: Web, part: Path) -> None:
    """Fetch a file, or the missing part of it; raises OSError if it does not arrive completely."""
    with contextlib.suppress(FileNotFoundError):
        if part.stat().st_size > origin.size_bytes:
            part.unlink()
    done = part.stat().st_size if part.exists() else 0
    if done == origin.size_bytes:
        return
    request = urllib.request.Request(origin.url, headers={"Range": f"bytes={done}-"} if done else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        resumes = answer.status == 206
        with (
            part.open("ab" if resumes else "wb") as file,
            progress_bar("fetching, MB", round(origin.size_bytes / 1e6)) as advance,
        ):
            advance(done / 1e6 if resumes else 0)
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                advance(len(chunk) / 1e6)
    if part.stat().st_size < origin.size_bytes:
        raise OSError(f"it broke off after {part.stat().st_size / 1e6:,.0f} of {origin.size_bytes / 1e6:,.0f} MB")


def _out_of_reach(model: str, url: str, name: str, error: Exception) -> WeightsError:
    reason = " ".join(str(error).split())[:120].rstrip(" .") or type(error).__name__
    return WeightsError(
        model,
        "its ImageNet weights cannot be fetched",
        f"fetch {url} where there is a network, and put it here: {weights_folder() / name}",
        notes=(reason,),
    )
