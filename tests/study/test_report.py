"""The report: what it says, and what a real browser makes of it."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.errors import LaminaError
from lamina.study.leaderboard import leaderboard
from lamina.study.ranking import ranking
from lamina.study.report import write_report, write_reports
from lamina.study.statistics import interval
from lamina.study.verdict import Entry, judge

HOSTILE = "<script>document.title='owned'</script> \"quoted\" & ${x} {{ 7 * 7 }}"
NETWORKS = ("mlp", "resnet", "densenet", "hourglass", "kan", "fan", "bilinear", "moe")
RIVALS = ("constant", "linear", "hist_gradient_boosting", "sklearn_mlp")
SPLITS, SEEDS = 3, 2


def _entry(name: str, scores: np.ndarray, rng: np.random.Generator, rival: bool) -> dict[str, Any]:
    by_split = scores.reshape(SPLITS, SEEDS).mean(axis=1)
    mean, low, high = interval(by_split)
    settings = [{"learning_rate": rate, "weight_decay": 1e-4, "dropout": 0.1} for rate in (0.001, 0.003, 0.01)]
    falling = [
        (0.6 * np.exp(-np.arange(90) / 25) + 0.05 + 0.01 * rng.random(90)).tolist() for _ in range(SPLITS * SEEDS)
    ]
    return {
        "name": name,
        "summary": f"what {name} is, in a few words",
        "paper": "" if rival else f"Somebody et al. 2024, {name.title()} Networks, arXiv:2400.0000{len(name)}",
        "params": None if rival else int(19_900 + rng.integers(200)),
        "flops": None if rival else int(40_000 + rng.integers(20_000)),
        "setting": settings[1],
        "scores": scores.tolist(),
        "mean": mean,
        "low": low,
        "high": high,
        "ensemble": (by_split + 0.001).tolist(),
        "validation": [0.1] * SPLITS,
        "fit_seconds": float(rng.uniform(0.2, 4)),
        "diverged": 0,
        "settings": [
            {"setting": s, "validation": 0.1 + i / 50, "chosen": int(i == 1) * SPLITS} for i, s in enumerate(settings)
        ],
        "curves": []
        if rival
        else [
            {"split": i // SEEDS, "seed": i % SEEDS, "train": c, "validation": [x + 0.03 for x in c]}
            for i, c in enumerate(falling)
        ],
    }


def summary_of(name: str = "breast-cancer", higher: bool = True, seed: int = 0) -> dict[str, Any]:
    """A whole summary: a binary task by ROC AUC, or a regression by RMSE, in which lower is better."""
    rng = np.random.default_rng(seed)
    best, unit, rope = (0.99, 0.01, 0.01) if higher else (54.0, -3.0, 0.77)
    entries = []
    for place, method in enumerate(rng.permutation([*NETWORKS, *RIVALS]).tolist()):
        behind = (49 if higher else 14) if method == "constant" else place / 4
        centre = best - unit * behind
        entries.append(_entry(method, centre + unit * rng.normal(0, 0.3, SPLITS * SEEDS), rng, method in RIVALS))
    judged = judge(
        [Entry(e["name"], e["scores"], e["params"], e["fit_seconds"], e["name"] in RIVALS) for e in entries],
        metric="roc_auc" if higher else "rmse",
        higher_is_better=higher,
        rope=rope,
        splits=SPLITS,
        seeds=SEEDS,
    )
    return {
        "lamina": "0.1.0",
        "data": {"name": name, "rows": 569, "features": 30, "target": "diagnosis"},
        "task": "binary" if higher else "regression",
        "metric": "roc_auc" if higher else "rmse",
        "higher_is_better": higher,
        "rows": 569,
        "params": 20_000,
        "splits": SPLITS,
        "seeds": SEEDS,
        "n_settings": 3,
        "test_fraction": 0.2,
        "rope": rope,
        "networks": [e for e in entries if e["name"] in NETWORKS],
        "rivals": [e for e in entries if e["name"] in RIVALS],
        "pick": {
            "scores": [best] * SPLITS,
            "choices": ["kan", "kan", "fan"],
            "mean": best,
            "low": best - rope,
            "high": best + rope,
        },
        "verdict": judged.to_dict(),
        "columns": [
            {"name": "radius", "kind": "number", "used": True, "treatment": "quantile scaling", "missing": 0},
            {"name": "patient_id", "kind": "id", "used": False, "treatment": "left out: an id", "missing": 0},
            {
                "name": "ward",
                "kind": "category",
                "used": True,
                "treatment": "one-hot, 4 values",
                "missing": 12,
            },
        ],
        "target": {
            "name": "diagnosis",
            "kind": "class" if higher else "number",
            "classes": ["benign", "malignant"] if higher else None,
        },
        "warnings": [],
        "undone": [],
        "errors": [],
        "environment": {
            "python": "3.11.7",
            "torch": "2.13.0",
            "machine": "x86_64",
            "cores": 2,
            "device": "cpu",
        },
        "seconds": 41.3,
        "command": f"lamina compare {name} --splits 3 --seeds 2",
    }


def bad_summary() -> dict[str, Any]:
    """Whatever can be missing, long or hostile."""
    s = summary_of("x" * 90 + HOSTILE, higher=False, seed=3)
    lost = s["networks"][0]
    lost |= {
        "scores": [None] * 6,
        "mean": None,
        "low": None,
        "high": None,
        "ensemble": [None] * 3,
        "diverged": 6,
        "curves": [],
    }
    s["networks"][1] |= {
        "name": "a_network_with_a_very_long_name_" + HOSTILE,
        "flops": float("nan"),
        "fit_seconds": None,
    }
    s["networks"][2]["curves"][0]["validation"][5] = None
    s["networks"][3]["curves"] = [{"split": 0, "seed": 0, "train": [0.5], "validation": []}]
    s["columns"].append({"name": HOSTILE, "kind": "text", "used": False, "treatment": HOSTILE, "missing": None})
    s["columns"].append({"name": "w" * 300, "kind": "number", "used": True, "treatment": "x", "missing": 1})
    s["data"]["target"] = s["target"]["name"] = HOSTILE
    s["warnings"] = [f"column {HOSTILE} looks like the target"]
    s["errors"] = [{"network": "fan", "message": HOSTILE}]
    s["undone"] = ["kan on split 3"]
    return s


def bare_summary() -> dict[str, Any]:
    """One split, one seed, nothing but a diverged network: no plot but the text has to stand."""
    s = summary_of()
    s["networks"], s["rivals"], s["pick"] = (
        [s["networks"][0] | {"mean": None, "curves": [], "scores": [None]}],
        [],
        None,
    )
    s["verdict"] = judge(
        [Entry("a", [None], 1, 1.0)], metric="roc_auc", higher_is_better=True, rope=0.01, splits=1, seeds=1
    ).to_dict()
    return s | {"splits": 1, "seeds": 1, "columns": [], "target": None, "environment": {}, "command": ""}


def unfinished_summary() -> dict[str, Any]:
    """A study that ran out of time before its first split was whole."""
    s = summary_of() | {"networks": [], "rivals": [], "pick": None, "verdict": None, "splits": 0}
    del s["command"]
    return s


def text_of(path: Path) -> str:
    """What stands on the page, without the scripts and the style."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def figures_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The figures on the page by the name of their place."""
    found = re.findall(
        r'<script type="application/json" id="s\d+-(\w+)-data">(.*?)</script>', path.read_text(), re.DOTALL
    )
    return {name: json.loads(data) for name, data in found}


@pytest.mark.parametrize("higher", [True, False])
def test_text_table_and_plot_have_one_order(tmp_path: Path, higher: bool) -> None:
    s = summary_of(higher=higher)
    path = write_report(s, tmp_path / "r.html")
    rows = leaderboard(s)
    named = re.findall(r'<th scope="row"><span class="dot(?: rival)?"></span>(\w+)<small>', text_of(path))
    assert named == [row.name for row in rows]
    figure = figures_of(path)["intervals"][0]["figure"]
    drawn = figure["layout"]["yaxis"]["ticktext"]
    assert drawn == [name for name in named if name != "constant"]
    at = {y: x for trace in figure["data"] for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert [at[i] for i in range(len(drawn))] == [row.mean for row in rows if row.name in drawn]
    assert figure["layout"]["yaxis"]["range"][0] > figure["layout"]["yaxis"]["range"][1]  # the first line is on top
    (spoken,) = re.findall(r'id="s0-intervals" role="img" aria-label="([^"]*)"', text_of(path))
    for name in drawn:
        assert name in spoken
    assert ("higher is better" in text_of(path)) == higher
    assert ("lower is better" in text_of(path)) != higher


def test_the_order_of_the_summary_does_not_matter(tmp_path: Path) -> None:
    s = summary_of()
    t = copy.deepcopy(s)
    t["networks"].reverse()
    a, b = write_report(s, tmp_path / "a.html"), write_report(t, tmp_path / "b.html")
    assert figures_of(a) == figures_of(b)
    tables = [re.search(r'aria-label="Leaderboard.*?</table>', text_of(p), re.DOTALL) for p in (a, b)]
    assert tables[0]
    assert tables[1]
    assert tables[0][0] == tables[1][0]


def test_the_dots_carry_the_places_of_the_leaderboard(tmp_path: Path) -> None:
    s = summary_of(higher=False)
    trace = figures_of(write_report(s, tmp_path / "r.html"))["seconds"][0]["figure"]["data"][0]
    by_place = {row.place: row for row in leaderboard(s)}
    assert trace["x"] == [by_place[int(place)].seconds for place in trace["text"]]
    assert trace["y"] == [by_place[int(place)].mean for place in trace["text"]]


def test_pairs_are_turned_towards_the_chosen_method(tmp_path: Path) -> None:
    s = summary_of()
    choices = figures_of(write_report(s, tmp_path / "r.html"))["pairs"]
    assert choices[0]["label"] == s["verdict"]["best"]
    known = {(p["first"], p["second"]): p for p in s["verdict"]["pairs"]}
    order = [row.name for row in leaderboard(s)]
    for choice in choices:
        others = [name for name in order if name != choice["label"]]
        better, equal, worse = (trace["x"] for trace in choice["figure"]["data"])
        for at, other in enumerate(others):
            pair = known.get((choice["label"], other))
            mine = (pair["better"], pair["worse"]) if pair else None
            pair = pair or known[other, choice["label"]]
            assert (better[at], worse[at]) == (mine or (pair["worse"], pair["better"]))
            assert better[at] + equal[at] + worse[at] == pytest.approx(1)


def test_the_report_says_what_the_summary_says(tmp_path: Path) -> None:
    s = summary_of()
    text = html.unescape(text_of(write_report(s, tmp_path / "r.html")))
    for wanted in (
        s["verdict"]["sentence"].removeprefix("Not decided: "), "569 rows", "20,000", "torch", "2.13.0",
        s["command"], "left out: an id", "one-hot, 4 values", "learning rate 0.003", "kan (2), fan (1)",
        "arXiv:2400.00003", "JMLR",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert text.index('class="verdict"') < text.index("Leaderboard")


def test_text_from_outside_is_escaped_and_never_becomes_markup(tmp_path: Path) -> None:
    path = write_report(bad_summary(), tmp_path / "r.html")
    assert "<script>document.title" not in path.read_text(encoding="utf-8")
    assert HOSTILE in html.unescape(text_of(path))
    assert "49" not in re.findall(r"\$\{x\} ([^<]*)", html.unescape(text_of(path)))[0]
    labels = figures_of(path)["intervals"][0]["figure"]["layout"]["yaxis"]["ticktext"]
    assert not any("<" in text for text in labels)


def test_the_file_loads_nothing(tmp_path: Path) -> None:
    text = text_of(write_report(summary_of(), tmp_path / "r.html"))
    assert "default-src 'none'" in text
    assert re.findall(r'(?:src|href)="([^"#]+)"', text) == ["data:,"]
    assert "@import" not in text
    assert "url(" not in text


def test_the_ranking_text_and_diagram_agree(tmp_path: Path) -> None:
    summaries = [summary_of(f"d{i}", bool(i % 2), i) for i in range(6)]
    path = write_reports(summaries, tmp_path / "r.html")
    found = ranking(summaries)
    assert found
    (data,) = re.findall(r'id="ranks-data">(.*?)</script>', path.read_text(), re.DOTALL)
    figure = json.loads(data)[0]["figure"]
    assert figure["layout"]["yaxis"]["ticktext"] == found.names
    assert figure["data"][0]["x"] == found.mean_ranks
    assert figure["data"][-1]["x"] == [1, 1 + found.cd]
    assert (
        re.findall(
            r'<th scope="row">([^<]+)</th><td class="n">[\d.]+</td><td class="n">\d+',
            html.unescape(text_of(path)),
        )
        == found.names
    )


def test_no_summary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaminaError, match="at least one summary"):
        write_reports([], tmp_path / "r.html")


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
WATCH = """<script>
window.faults = [];
addEventListener('error', e => faults.push(e.message));
addEventListener('securitypolicyviolation', e => faults.push('blocked ' + e.blockedURI));
for (const kind of ['error', 'warn']) {
  const old = console[kind];
  console[kind] = (...said) => { faults.push(said.join(' ')); old(...said); };
}
</script>"""
PROBE = """<script>addEventListener('load', () => setTimeout(() => {
  document.querySelectorAll('details').forEach(box => { box.open = true; });
  setTimeout(() => {
    const plots = [...document.querySelectorAll('.plot')];
    const wide = [...document.querySelectorAll('body *')].filter(e =>
      e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, svg'));
    parent.postMessage(JSON.stringify({
      faults, plots: plots.length, drawn: plots.filter(p => p.querySelector('.main-svg')).length,
      width: document.documentElement.scrollWidth, inner: innerWidth, title: document.title,
      wide: wide.slice(0, 3).map(e => e.outerHTML.slice(0, 120)),
      resources: performance.getEntriesByType('resource').length,
    }), '*');
  }, 1500);
}, 500));</script>"""


def browse(report: Path, folder: Path, width: int) -> dict[str, Any]:
    """Open a report in a frame of this width, every part unfolded, and say what the browser found."""
    page = report.read_text(encoding="utf-8")
    (folder / "probed.html").write_text(
        page.replace("<head>", "<head>" + WATCH, 1).replace("</body>", PROBE + "</body>")
    )
    (folder / "frame.html").write_text(
        f'<!doctype html><iframe src="probed.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<pre id=found></pre><script>onmessage = e => { found.textContent = e.data; };</script>"
    )
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=15000",
            "--enable-logging=stderr", "--v=0",
            "--window-size=1200,1000", "--dump-dom", (folder / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    assert found[1], done.stderr[-2000:]
    return json.loads(html.unescape(found[1])) | {"console": re.findall(r".*CONSOLE.*", done.stderr)}


@needs_browser
@pytest.mark.parametrize("width", [400, 1100])
@pytest.mark.parametrize("make", [summary_of, bad_summary, bare_summary, unfinished_summary])
def test_a_browser_shows_all_of_a_report(tmp_path: Path, make: Any, width: int) -> None:
    found = browse(write_report(make(), tmp_path / "report.html"), tmp_path, width)
    assert found["faults"] == found["console"] == []
    assert (
        found["drawn"]
        == found["plots"]
        == {summary_of: 6, bad_summary: 6, bare_summary: 0, unfinished_summary: 0}[make]
    )
    assert found["inner"] == width
    assert found["width"] <= width, found["wide"]
    assert found["wide"] == []
    assert found["resources"] == 0
    assert found["title"] != "owned"


@needs_browser
def test_a_browser_shows_all_of_several_studies(tmp_path: Path) -> None:
    summaries = [summary_of(f"data {i}", bool(i % 2), i) for i in range(2)] + [bad_summary()]
    found = browse(write_reports(summaries, tmp_path / "report.html"), tmp_path, 400)
    assert found["faults"] == found["console"] == []
    assert found["drawn"] == found["plots"] == 1 + 3 * 6
    assert found["width"] <= 400, found["wide"]
    assert found["resources"] == 0


@needs_browser
def test_the_browser_would_notice(tmp_path: Path) -> None:
    """A report made wrong on purpose: each of the faults that the tests above look for is found."""
    path = write_report(summary_of(), tmp_path / "report.html")
    wrong = (
        "<div style='width:700px'>wide</div><img alt='' src='https://example.org/x.png'>"
        "<div class=plot data-source=none></div>"
        "<script>console.error('told'); document.title = 'owned';</script>"
    )
    path.write_text(path.read_text(encoding="utf-8").replace("<footer>", wrong + "<footer>"), encoding="utf-8")
    found = browse(path, tmp_path, 400)
    assert {"told", "blocked https://example.org/x.png"} <= set(found["faults"])
    assert any("told" in line for line in found["console"])
    assert found["width"] >= 700
    assert "wide" in found["wide"][0]
    assert found["drawn"] < found["plots"]
    assert found["title"] == "owned"
