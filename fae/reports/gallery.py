"""Pictures of the networks of some settings: what they reconstruct, and their weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fae.config import fingerprint_fields
from fae.data.datamodule import EvalBatches
from fae.data.examples import examples
from fae.data.images import DataSet, Images
from fae.drawing.pictures import Example, Gallery, Panel, evenly, extremes
from fae.reports.labels import others
from fae.reports.settings import Setting
from fae.runs.build import build_network
from fae.runs.stored import TrainedRun
from fae.runtime.seeding import Stream, seed_torch, stream_seed
from fae.training.evaluation import mse_per_image

PICTURED = 8
"""Settings whose networks are pictured; of more, those with the lowest validation error."""


def pictured(settings: Sequence[Setting]) -> list[Setting]:
    """Settings on the first one's images; of too many, those with the lowest validation error.

    They are grouped by what distinguishes them besides n.
    """
    images = _images(settings[0])
    alike = [setting for setting in settings if _images(setting) == images]
    best = sorted(alike, key=lambda setting: setting.runs[0].tested["val/mse"])[:PICTURED]
    group = others(best)
    order = list(dict.fromkeys(group[s.title] for s in alike if s.title in group))
    shown = [setting for setting in alike if setting.title in group]
    return sorted(shown, key=lambda setting: order.index(group[setting.title]))


def _images(setting: Setting) -> tuple[object, ...]:
    """What tells the images of a setting, and their split, from others."""
    run = setting.runs[0]
    fields = fingerprint_fields(run.config.data, "data.")
    return run.tags.get("fae.data_digest"), {**fields, "data.noise": None}


@torch.inference_mode()
def gallery(setting: Setting, title: str, data_set: DataSet, images: Images) -> Gallery:
    """Pictures of the network of a setting's first seed.

    Args:
        title: of the pictures.
        data_set: of the images.
        images: to test on, uint8; only those that are shown are kept as floats.
    """
    run = setting.runs[0]
    errors, squares = _errors(run, images)
    panel = examples(images).tolist()
    places = extremes(errors.numpy(), squares.numpy())
    chosen = [*panel, *places.values()]
    pixels = images[torch.tensor(chosen)].as_floats().pixels
    originals, outputs = pixels.numpy(), run.network(pixels).numpy()
    shows = [data_set.classes[label] for label in images.labels[chosen].tolist()]
    count = len(panel)
    found = [
        Example(label, shows[i], originals[i], outputs[i], errors[at].item())
        for i, (label, at) in enumerate(places.items(), count)
    ]
    name, weights = _first_weights(run)
    longest = weights.norm(dim=1).argsort(descending=True, stable=True)
    return Gallery(
        title=title,
        seed=run.seed,
        test=setting.test.mean,
        panel=Panel(originals[:count], outputs[:count], errors[panel].numpy(), shows[:count]),
        extremes=found,
        weights=weights[longest[evenly(len(weights))]].numpy(),
        units=len(weights),
        dead=run.dead if name == "encoder.weight" else None,
        noise=_noise(run, name, weights),
    )


def _errors(run: TrainedRun, images: Images) -> tuple[Tensor, Tensor]:
    """Mean squared errors of images, and the mean squares of the images themselves, (images,)."""
    parts = [
        torch.stack([mse_per_image(run.network(part), part), part.square().mean(dim=1)])
        for part in EvalBatches(images)
    ]
    errors, squares = torch.cat(parts, dim=1)
    return errors, squares


def _first_weights(run: TrainedRun) -> tuple[str, Tensor]:
    """Name and values of the network's first weights that are images, (units, pixels).

    Those of a convolution are the filters. Without any: no name, and no units.
    """
    for name, weights in run.network.state_dict().items():
        if _are_images(weights, run.config.data.pixels):
            return name, weights.flatten(1)
    return "", torch.empty(0, 1)


def _are_images(weights: Tensor, pixels: int) -> bool:
    """Whether weights belong to the pixels of an image, or to those of a filter's window."""
    if weights.ndim == 4:
        channels, high, wide = weights.shape[1:]
        return channels in (1, 3) and high == wide
    return weights.ndim == 2 and weights.shape[1] == pixels


def _noise(run: TrainedRun, name: str, weights: Tensor) -> float:
    """The share of some weights that is what a new network draws at random; see ``Gallery``.

    Args:
        name: of the weights; empty if there are none.
    """
    if not name:
        return 0.0
    with torch.random.fork_rng():
        seed_torch(stream_seed(run.seed, Stream.INITIALISATION))
        drawn = build_network(run.config).state_dict()[name]
    return float(torch.cosine_similarity(weights.flatten(), drawn.flatten(), dim=0).square())
