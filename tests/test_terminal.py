import io
import json
import sys

from lamina import terminal
from lamina.study.question import Job
from lamina.study.work import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_shows_the_job_and_the_share_on_a_terminal_and_leaves_standard_output_alone(monkeypatch, capsys):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.progress_bar() as bar:
        bar(Progress(Job("mlp", 1), 0.0, "2 processes with 1 thread each on 2 cores"))
        bar(Progress(Job("kan", 1), 0.25, "2 processes with 1 thread each on 2 cores"))
        bar.progress.refresh()
    assert screen.getvalue().count("2 processes with 1 thread each on 2 cores") == 1
    assert "kan, split 2" in screen.getvalue()
    assert "25%" in screen.getvalue()
    assert "left" in screen.getvalue()
    assert capsys.readouterr().out == ""


def test_the_bar_is_silent_where_standard_error_is_no_terminal(capsys):
    with terminal.progress_bar() as bar:
        bar.share("training", 0.5)
        bar(Progress(Job("mlp", 0), 0.0, "1 process with 1 thread on 2 cores"))
    assert capsys.readouterr() == ("", "")


def test_a_table_is_printed_whole_into_a_pipe(capsys):
    terminal.print_table(("name", "score"), [("a" * 60, "1.5"), ("b", "10.25")], numbers=[1])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["name", "score"]
    assert lines[2].split() == ["a" * 60, "1.5"]
    assert lines[3].endswith("10.25")
    assert len(lines[2]) == len(lines[3])


def test_json_keeps_letters_as_they_are(capsys):
    terminal.print_json({"name": "größe", "value": 1.5})
    out = capsys.readouterr().out
    assert "größe" in out
    assert json.loads(out) == {"name": "größe", "value": 1.5}
