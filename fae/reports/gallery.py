"""Pictures of the networks of some settings: what they reconstruct, and their weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fae.data.datamodule import EvalBatches
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
    """Settings on the first one's data; of too many, those with the lowest validation error.

    They are grouped by what distinguishes them besides n.
    """
    data = settings[0].runs[0].config.data
    alike = [setting for setting in settings if setting.runs[0].config.data == data]
    best = sorted(alike, key=lambda setting: setting.runs[0].tested["val/mse"])[:PICTURED]
    group = others(best)
    order = list(dict.fromkeys(group[s.title] for s in alike if s.title in group))
    shown = [setting for setting in alike if setting.title in group]
    return sorted(shown, key=lambda setting: order.index(group[setting.title]))


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
    firsts = images.first_of_each_class().tolist()
    places = extremes(errors.numpy(), squares.numpy())
    chosen = [*firsts, *places.values()]
    pixels = images[torch.tensor(chosen)].as_floats().pixels
    originals, outputs = pixels.numpy(), run.network(pixels).numpy()
    shows = [data_set.classes[label] for label in images.labels[chosen].tolist()]
    count = len(firsts)
    examples = [
        Example(label, shows[i], originals[i], outputs[i], errors[at].item())
        for i, (label, at) in enumerate(places.items(), count)
    ]
    name, weights = next(iter(run.network.state_dict().items()))
    longest = weights.norm(dim=1).argsort(descending=True, stable=True)
    return Gallery(
        title=title,
        seed=run.seed,
        test=setting.test.mean,
        panel=Panel(originals[:count], outputs[:count], errors[firsts].numpy(), shows[:count]),
        extremes=examples,
        weights=weights[longest[evenly(len(weights))]].numpy(),
        units=len(weights),
        dead=run.dead if name == "encoder.weight" else None,
        noise=_noise(run, weights),
    )


def _errors(run: TrainedRun, images: Images) -> tuple[Tensor, Tensor]:
    """Mean squared errors of images, and the mean squares of the images themselves, (images,)."""
    parts = [
        torch.stack([mse_per_image(run.network(part), part), part.square().mean(dim=1)])
        for part in EvalBatches(images)
    ]
    errors, squares = torch.cat(parts, dim=1)
    return errors, squares


def _noise(run: TrainedRun, weights: Tensor) -> float:
    """The share of some weights that is what a new network draws at random; see ``Gallery``."""
    with torch.random.fork_rng():
        seed_torch(stream_seed(run.seed, Stream.INITIALISATION))
        drawn = next(iter(build_network(run.config).state_dict().values()))
    return float(torch.cosine_similarity(weights.flatten(), drawn.flatten(), dim=0).square())
