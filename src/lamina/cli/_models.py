"""`lamina fit` and `lamina predict`."""

from __future__ import annotations

import time as clock
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lamina.cli._arguments import deadline, names
from lamina.terminal import progress_bar

TRAINING = 0.93  # of the time of a fit; the rest is for the last look and the model folder


def fit(
    data: str,
    *,
    target: str | None = None,
    network: str,
    out: Path,
    params: int = 20_000,
    seeds: int = 3,
    settings: int = 8,
    racing: bool = True,
    compile: bool | None = None,
    ignore: str = "",
    task: str | None = None,
    device: str = "auto",
    time: str | None = None,
    memory: str | None = None,
) -> None:
    """Train one network on all rows of a table and write a model folder.

    Processes that torchrun starts train the network together, each on a part of every batch.

    Args:
        data: a CSV (gzipped too), Parquet or Arrow file, or the name of a bundled data set.
        target: the column to predict.
        network: its name, see: lamina list.
        out: the model folder to write.
        params: the budget of parameters.
        seeds: members of the model, whose predictions are averaged.
        settings: settings of learning rate, weight decay and dropout to choose from.
        racing: stop settings that fall behind in their validation loss early; --no-racing trains all to the end.
        compile: run training steps through torch.compile; by default where that saves more seconds than it costs.
        ignore: columns to leave out, with commas between them.
        task: binary, multiclass or regression; found from the target by default.
        device: auto, cpu, cuda or mps.
        time: to train for at most, such as 90s or 10m; the best weights until then are kept.
        memory: what this process may take, such as 500MB or 4GB; by default most of what is free.
    """
    began = clock.monotonic()
    from lamina.data.task import make_task
    from lamina.model import fit_model, require_place
    from lamina.training import Recipe, draw_settings
    from lamina.training.distributed import joined

    with joined(device) as ranks:
        require_place(out)
        learnt = make_task(data, target, ignore=names(ignore), task=task)
        with progress_bar() if ranks.leads else nullcontext() as progress:
            model = fit_model(
                learnt,
                network,
                settings=draw_settings(settings),
                params=params,
                seeds=seeds,
                recipe=Recipe(compile=compile),
                racing=racing,
                device=device,
                memory=memory,
                deadline=deadline(began, time, TRAINING),
                progress=progress and (lambda done, planned: progress.share(network, done / planned)),
            )
        if ranks.leads:
            model.save(out)
            print(f"{network} for {learnt.target.name} ({learnt.kind}), {learnt.rows} rows: {out}")


def predict(model: Path, data: str, *, out: Path | None = None, device: str = "auto") -> None:
    """Predict new rows with a model folder: one CSV row each, with the class probabilities of a classification.

    Args:
        model: a folder that lamina fit or lamina compare wrote.
        data: a table with the columns that the model was trained on; others are ignored.
        out: the CSV file to write; standard output by default.
        device: auto, cpu, cuda or mps.
    """
    import polars as pl

    from lamina.data.reading import read_table
    from lamina.model import Model

    loaded, table = Model.load(model, device), read_table(data)
    columns: dict[str, Any]
    if not loaded.head.classes:
        columns = {"prediction": loaded.predict(table)}
    else:
        probabilities = loaded.predict_proba(table)
        columns = {"prediction": loaded.target.decode(probabilities.argmax(1))}
        columns |= {f"probability_{c}": probabilities[:, i] for i, c in enumerate(loaded.target.classes)}
    frame = pl.DataFrame(columns)
    if out is None:
        print(frame.write_csv(), end="")
    else:
        frame.write_csv(out)
        print(f"{len(frame)} predictions: {out}")
