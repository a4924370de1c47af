"""Write the numbers in ``benchmarks/results/`` into the README and the page on performance, between their markers.

python benchmarks/readme.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
from scipy.stats import rankdata

from lamina.catalog import systems
from lamina.evidence import collected, counted

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {
    "pick": "Lamina's pick",
    "hist_gradient_boosting": "histogram gradient boosting",
    "sklearn_mlp": "scikit-learn's MLP",
    "linear": "linear model",
}


def mean_ranks(table: pl.DataFrame, names: list[str]) -> dict[str, float]:
    """Mean rank of each method over the tables, 1 the best, ties averaged."""
    total = dict.fromkeys(names, 0.0)
    for row in table.iter_rows(named=True):
        sign = -1 if row["higher_is_better"] else 1
        for name, rank in zip(names, rankdata([sign * row[n] for n in names]), strict=True):
            total[name] += rank / len(table)
    return total


def wins(table: pl.DataFrame, name: str) -> str:
    """On how many tables the pick scores higher than the method called `name`, as high, and lower."""
    sign = pl.when(pl.col("higher_is_better")).then(1).otherwise(-1)
    better = table.select(((pl.col("pick") - pl.col(name)) * sign).sign())["pick"]
    return f"{(better > 0).sum()} / {(better == 0).sum()} / {(better < 0).sum()}"


def text() -> str:
    """The section, from the files of results."""
    table = pl.read_csv(RESULTS / "tables.csv")
    startup = json.loads((RESULTS / "startup.json").read_text())
    demo = json.loads((RESULTS / "demo.json").read_text())
    pair = mean_ranks(table, ["pick", "hist_gradient_boosting", "sklearn_mlp"])
    ranks = mean_ranks(table, list(NAMES))
    networks = table.columns[table.columns.index("constant") + 1 : table.columns.index("best")]
    single = mean_ranks(table, [*networks, "hist_gradient_boosting", "sklearn_mlp"])
    lines = [
        f"`lamina compare --quick` on {len(table)} real tables (2 splits, 2 seeds, 3 settings, at most 4,000 rows, "
        f"20,000 parameters; {table['machine'][0]}; torch {table['torch'][0]}). Lamina's pick is the network and the "
        "setting with the lowest validation loss, its seeds averaged, judged on the test part; the rivals have the "
        "same splits, inner parts, number of settings and averaging.",
        "",
        "| method | mean rank of three | mean rank of four | pick better / equal / worse |",
        "| --- | --- | --- | --- |",
    ]
    for name, label in NAMES.items():
        three = f"{pair[name]:.2f}" if name in pair else ""
        lines.append(f"| {label} | {three} | {ranks[name]:.2f} | {'' if name == 'pick' else wins(table, name)} |")
    ordered = ", ".join(f"{name} {rank:.2f}" for name, rank in sorted(single.items(), key=lambda x: x[1]))
    lines += [
        "",
        f"Mean ranks of the eight networks, each on its own, and two rivals: {ordered}. Table by table: "
        "[benchmarks/results/tables.csv](benchmarks/results/tables.csv) (its times were taken while other work ran). "
        "Some defaults (ramps, learning rate, weight decay, averaging) were chosen with a look at fourteen of these "
        "tables, so the ranks flatter Lamina a little. They were taken before dropout's random numbers and the "
        "optimiser's kernel were changed, which alters single scores by chance; the protocol is the same.",
        "",
        "What papers say of these networks and of some theories, measured over 10 seeds on small data: "
        f"{counted(collected(ROOT / 'evidence'))}. [Claims](docs/claims.md) has every number, and why a result may "
        "differ from the paper's.",
        "",
        f"Over an empty interpreter, `lamina --help` takes {startup['help_over_empty']} s of processor time and "
        f"`lamina list` {startup['list_over_empty']} s; `import lamina` adds {startup['import_over_torch']} s to "
        f"`import torch`. The comparison of `make demo` takes {demo['median']:.0f} s ({demo['machine']}).",
    ]
    return "\n".join(lines)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def layers(peers: bool) -> str:
    """What layers cost: times and memory of the block's, and times of the layer's own arithmetic."""
    found = json.loads((RESULTS / "layers.json").read_text())
    ours = {s.name for s in systems().values()}
    rows = []
    for name in sorted(found["eager"], key=lambda name: (name != "kan", name)):
        if (name in ours) is peers:
            continue
        times, own, memory = (
            [f"{cell['ratio']:.{digits}f}" for cell in found[part].get(name, {}).values()]
            for part, digits in (("eager", 2), ("limit", 2), ("memory", 1))
        )
        cells = [times[:4], times[4:], memory] if peers else [times[:4], times[4:], own[:4], own[4:], memory]
        rows.append([name, *map(", ".join, cells)])
    head = ["layer", "one thread", "two threads"]
    more = [] if peers else ["to its own arithmetic, one thread", "the same, two threads"]
    return table([*head, *more, "memory"], rows)


def hopfield() -> str:
    """Hopfield layers against attention."""
    found = json.loads((RESULTS / "hopfield.json").read_text())
    names = ["one update", "four", "authors, one", "authors, four", "an extra update to attention alone"]
    rows = [[key, *(f"{cell[n]['ratio']:.2f}" for n in names)] for key, cell in found.items() if key != "machine"]
    head = ["layer, threads, width", "one update", "four", "authors' one", "authors' four", "an extra update"]
    return table(head, rows)


def formulas() -> str:
    """Medians over the formulas of the median error over the seeds, the best layer first."""
    frame = pl.read_csv(RESULTS / "feynman.csv")
    middle = frame.group_by("network", "formula").agg(pl.col("test_rmse").median())
    mlp = middle.filter(network="mlp").select("formula", mlp="test_rmse")
    every = (
        middle.join(mlp, on="formula")
        .group_by("network")
        .agg(
            pl.col("test_rmse").median(),
            ratio=pl.col("mlp").median() / pl.col("test_rmse").median(),
            better=(pl.col("test_rmse") < pl.col("mlp")).sum(),
            of=pl.len(),
        )
    )
    rows = [
        [name, f"{error:.2g}", f"{ratio:.2f}", f"{better} of {of}"]
        for name, error, ratio, better, of in every.sort("test_rmse").iter_rows()
    ]
    return table(["network", "median test RMSE", "the MLP's over it", "formulas better than the MLP"], rows)


SECTIONS = {
    "README.md": {"results": text},
    "docs/performance.md": {
        "layers": lambda: layers(peers=False),
        "peers": lambda: layers(peers=True),
        "hopfield": hopfield,
        "feynman": formulas,
    },
}


def main() -> None:
    """Replace what stands between the markers."""
    for name, sections in SECTIONS.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        for section, write in sections.items():
            begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
            new = f"{begin}\n{write()}\n{end}"
            page = re.sub(f"{begin}.*{end}", lambda _, new=new: new, page, flags=re.DOTALL)
        (ROOT / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
