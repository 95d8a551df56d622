"""MLflowCallback: a run told to MLflow."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from sightline.train.callbacks.tracking import Examples, TrackingCallback, needed, phase_settings, settings

MOST_METRICS = 1000
"""As many as MLflow takes at a time."""


class MLflowCallback(TrackingCallback):
    """Tells losses, rates, metrics, settings and predictions to MLflow.

    It tells them to the active MLflow run where there is one, which it leaves active; else it begins a run of its own and ends
    it with the fit, as failed where that ended by an error. Needs `pip install "sightline[mlflow]"`.

    Attributes:
        run_id: The MLflow run; None before the first.
    """

    resumes: ClassVar[tuple[str, ...]] = ("done", "run_id")

    def __init__(
        self,
        experiment: str | None = None,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        log_preds: bool = True,
        n_preds: int = 9,
        log_model: bool = False,
    ) -> None:
        """Say what is told to whom.

        Args:
            experiment: Name of the experiment, for a run of its own; None is MLflow's default.
            run_name: Name of that run; None lets MLflow choose.
            tracking_uri: Where MLflow keeps runs; None is where it does anyway.
            log_preds: Some validation pictures with their predictions, at the end of the run.
            n_preds: How many.
            log_model: The weights, as a file, at the end of the run.
        """
        super().__init__()
        self.experiment, self.run_name, self.tracking_uri = experiment, run_name, tracking_uri
        self.log_preds, self.n_preds, self.log_model = log_preds, n_preds, log_model
        self.run_id: str | None = None
        self._client: Any = None
        self._own = False
        self._waiting: list[Any] = []

    @property
    def name(self) -> str:
        """Mlflow."""
        return "mlflow"

    def begin(self, *, first: bool) -> None:
        """Find or begin the MLflow run, and tell the settings."""
        mlflow = needed("mlflow", "mlflow", "MLflowCallback")
        self._client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        active = mlflow.active_run()
        if first:
            self.run_id = self._new_run() if active is None else active.info.run_id
        self._own = active is None or active.info.run_id != self.run_id
        facts = (settings(self.learn) if first else {}) | phase_settings(self.learn)
        known = self._client.get_run(self.run_id).data.params
        for name, value in facts.items():
            # MLflow refuses to change what it was told.
            if name not in known:
                self._client.log_param(self.run_id, name, value)

    def _new_run(self) -> str:
        name = self.experiment or "Default"
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        return str(self._client.create_run(experiment, run_name=self.run_name).info.run_id)

    def tell(self, figures: dict[str, Any], step: int) -> None:
        metric = needed("mlflow.entities", "mlflow", "MLflowCallback").Metric
        now = int(time.time() * 1000)
        self._waiting += [metric(name, float(value), now, step) for name, value in figures.items()]
        if len(self._waiting) >= MOST_METRICS:
            self._send()

    def after_epoch(self) -> None:
        super().after_epoch()
        self._send()

    def after_fit(self) -> None:
        super().after_fit()
        if self.log_preds and self.learn.is_last_phase:
            figure = Examples(self.learn, self.n_preds).figure()
            self._client.log_figure(self.run_id, figure, "predictions.png")

    def end(self, *, well: bool, last: bool) -> None:
        """Send what waits; end a run of its own."""
        self._send()
        if well and last and self.log_model:
            self._client.log_artifact(self.run_id, str(self.learn.save("mlflow", with_opt=False)))
        if self._own and (last or not well):
            self._client.set_terminated(self.run_id, "FINISHED" if well else "FAILED")

    def _send(self) -> None:
        for start in range(0, len(self._waiting), MOST_METRICS):
            self._client.log_batch(self.run_id, metrics=self._waiting[start : start + MOST_METRICS])
        self._waiting = []
