"""Pictures of the networks of some settings: what they reconstruct, and their weights."""

from collections.abc import Sequence

import torch

from fae.data.images import DataSet, Images
from fae.drawing.pictures import Gallery, Panel, extremes
from fae.reports.settings import Setting
from fae.training.evaluation import mse_per_image

PICTURED = 6
"""Settings whose networks are pictured; of more, those with the lowest validation error."""


def pictured(settings: Sequence[Setting]) -> list[Setting]:
    """Settings on the first one's data; of too many, those with the lowest validation error."""
    data = settings[0].runs[0].config.data
    alike = [setting for setting in settings if setting.runs[0].config.data == data]
    best = sorted(alike, key=lambda setting: setting.runs[0].tested["val/mse"])[:PICTURED]
    titles = {setting.title for setting in best}
    return [setting for setting in alike if setting.title in titles]


@torch.inference_mode()
def gallery(setting: Setting, data_set: DataSet, images: Images) -> Gallery:
    """Pictures of the network of a setting's first seed.

    Args:
        data_set: of the images.
        images: to test on, pixels in [0, 1].
    """
    run = setting.runs[0]
    outputs = run.network(images.pixels)
    errors = mse_per_image(outputs, images.pixels)
    shows = [data_set.classes[label] for label in images.labels.tolist()]
    firsts = images.first_of_each_class()
    first, weights = next(iter(run.network.state_dict().items()))
    longest = weights.norm(dim=1).argsort(descending=True, stable=True)
    panel = Panel(
        images.pixels[firsts].numpy(),
        outputs[firsts].numpy(),
        errors[firsts].numpy(),
        [shows[i] for i in firsts.tolist()],
    )
    return Gallery(
        setting.title,
        run.seed,
        panel,
        extremes(images.pixels.numpy(), outputs.numpy(), errors.numpy(), shows),
        weights[longest].numpy(),
        run.dead if first == "encoder.weight" else None,
    )
