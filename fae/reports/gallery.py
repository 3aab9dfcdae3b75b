"""Pictures of the networks of some settings: what they reconstruct, and their weights."""

from collections.abc import Sequence

import torch

from fae.data.datamodule import EvalBatches
from fae.data.images import DataSet, Images
from fae.drawing.pictures import Example, Gallery, Panel, extremes
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
        images: to test on, uint8; only those that are shown are kept as floats.
    """
    run = setting.runs[0]
    errors = torch.cat([mse_per_image(run.network(part), part) for part in EvalBatches(images)])
    firsts, places = images.first_of_each_class().tolist(), extremes(errors.numpy())
    chosen = [*firsts, *places.values()]
    pixels = images[torch.tensor(chosen)].as_floats().pixels
    originals, outputs = pixels.numpy(), run.network(pixels).numpy()
    shows = [data_set.classes[label] for label in images.labels[chosen].tolist()]
    count = len(firsts)
    panel = Panel(originals[:count], outputs[:count], errors[firsts].numpy(), shows[:count])
    examples = [
        Example(label, shows[i], originals[i], outputs[i], errors[place].item())
        for i, (label, place) in enumerate(places.items(), count)
    ]
    first, weights = next(iter(run.network.state_dict().items()))
    longest = weights.norm(dim=1).argsort(descending=True, stable=True)
    dead = run.dead if first == "encoder.weight" else None
    return Gallery(setting.title, run.seed, panel, examples, weights[longest].numpy(), dead)
