"""How ``mlflow.pyfunc`` loads a network trained by ``fae``; a copy is stored with each network.

Needs torch, NumPy and MLflow, but not ``fae``. ``mlflow.pytorch`` alone accepts float32 only.
"""

import math
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import Model
from numpy.typing import NDArray


class Reconstruction:
    """A trained network that takes NumPy images.

    Args:
        network: maps (batch, pixels) in [0, 1], float32, to the same.
        pixels: number of pixels of an image.
    """

    def __init__(self, network: torch.nn.Module, pixels: int) -> None:
        self.network = network
        self.pixels = pixels

    def predict(self, images: Any, params: Any = None) -> NDArray[np.float32]:
        """Reconstructions of images, in the same shape, float32.

        Args:
            images: (batch, pixels), (batch, height, width) or (batch, channels, height, width), an
                array or array-like; floating point in [0, 1], or uint8 from 0 to 255.

        Raises:
            ValueError: they have another shape.
            TypeError: they have another type.
        """
        array = np.asarray(images)
        if array.ndim not in (2, 3, 4) or math.prod(array.shape[1:]) != self.pixels:
            raise ValueError(
                f"images of shape {array.shape}: must be (batch, {self.pixels}), (batch, height, "
                f"width) or (batch, channels, height, width) with {self.pixels} values; one image "
                "is a batch of 1, image[None]"
            )
        if array.dtype == np.uint8:
            array = array / np.float32(255)
        elif not np.issubdtype(array.dtype, np.floating):
            raise TypeError(
                f"images of type {array.dtype}: must be floating point in [0, 1], or uint8 from 0 "
                "to 255"
            )
        flat = np.ascontiguousarray(array.reshape(-1, self.pixels), dtype=np.float32)
        with torch.inference_mode():
            outputs: torch.Tensor = self.network(torch.from_numpy(flat))
        return outputs.numpy().reshape(array.shape)


def _load_pyfunc(path: str) -> Reconstruction:
    """Called by MLflow, with the folder of the network's file in that of the model."""
    folder = str(Path(path).parent)
    network = mlflow.pytorch.load_model(folder)
    metadata = Model.load(folder).metadata or {}
    return Reconstruction(network, metadata["pixels"])
