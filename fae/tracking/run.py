"""A run that is being written."""

import json
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from torch.nn import Module


class Run:
    """A run that is being written.

    Attributes:
        id: MLflow's id of the run.
        name: what it is called.
    """

    def __init__(self, client: "MlflowClient", experiment_id: str, run_id: str, name: str) -> None:
        self.id = run_id
        self.name = name
        self._experiment_id = experiment_id
        self._client = client

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write all metrics of one step in one transaction."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self.id, metrics=[Metric(key, value, now, step) for key, value in metrics.items()]
        )

    def log_data(self, name: str, digest: str, source: str, sizes: Mapping[str, int]) -> None:
        """Name the data set that the run was trained on."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name, digest, "local", json.dumps({"uri": source}), None, json.dumps(sizes))
        self._client.log_inputs(
            self.id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        )

    def log_text(self, text: str, path: str) -> None:
        """Write a text file among the run's artifacts."""
        self._client.log_text(self.id, text, path)

    def log_files(self, folder: Path, path: str) -> None:
        """Write a folder's files among the run's artifacts, under ``path``."""
        self._client.log_artifacts(self.id, str(folder), path)

    def log_figure(self, figure: "Figure", path: str) -> None:
        """Write a figure among the run's artifacts."""
        self._client.log_figure(self.id, figure, path, save_kwargs={"dpi": 130})

    def log_image(self, image: NDArray[np.uint8], key: str, step: int) -> None:
        """Write a picture (height, width) that the UI shows under ``key`` with a slider."""
        self._client.log_image(self.id, image, key=key, step=step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Write several tags in one transaction."""
        from mlflow.entities import RunTag

        self._client.log_batch(self.id, tags=[RunTag(key, tag) for key, tag in tags.items()])

    def describe(self, markdown: str) -> None:
        """Set the text that the UI shows on the run's page."""
        self._client.set_tag(self.id, "mlflow.note.content", markdown)

    def log_model(self, network: "Module", example: NDArray[np.float32], step: int) -> None:
        """Log a network that ``mlflow.pyfunc.load_model`` gives back; it needs torch alone.

        Args:
            network: in evaluation mode, on the CPU.
            example: (batch, pixels), a batch of 2 or more, so that any batch size works.
            step: epochs completed.
        """
        import torch
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model, infer_signature
        from mlflow.pytorch import save_model

        with torch.inference_mode():
            output = network(torch.from_numpy(example)).numpy()
        # Not by mlflow.pytorch.log_model: it writes to the one store that the process names.
        logged = self._client.create_logged_model(
            self._experiment_id, "model", source_run_id=self.id, tags={"fae.run": self.name}
        )
        with tempfile.TemporaryDirectory() as folder:
            save_model(
                network,
                Path(folder, "model"),
                mlflow_model=Model(run_id=self.id, model_id=logged.model_id),
                signature=infer_signature(example, output),
                input_example=example,
                pip_requirements=[f"torch=={version('torch')}"],
            )
            self._client.log_model_artifacts(logged.model_id, str(Path(folder, "model")))
        self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        self._client.log_outputs(self.id, [LoggedModelOutput(logged.model_id, step)])
