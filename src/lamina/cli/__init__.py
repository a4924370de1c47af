"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import sqlite3
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from lamina import __version__
from lamina.cli import _catalogue, _claims, _models, _studies
from lamina.errors import LaminaError

BAD_INPUT, BROKEN_OFF = 2, 130

app = App(
    name="lamina",
    version=__version__,
    help="Find out which multi-layer network helps on your data, and whether what papers claim holds.",
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


for command in (
    _studies.compare,
    _models.fit,
    _models.predict,
    _studies.report,
    _claims.reproduce,
    _claims.evidence,
    _catalogue.show,
    _catalogue.data,
):
    app.command(command)
app.command(_catalogue.list_, name="list")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an input that cannot be used ends with one line and exit code 2, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    kept = "; what is finished is kept, --resume goes on" if arguments[:1] in (["compare"], ["reproduce"]) else ""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that a terminal does not have is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except (LaminaError, CycloptsError) as error:
        _end(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _end(f"broken off{kept}", BROKEN_OFF)
    except (OSError, sqlite3.OperationalError) as error:
        _end(f"{error}{kept}", 1)
    except sqlite3.DatabaseError as error:
        _end(f"the study's study.sqlite is damaged: {error}", BAD_INPUT)


def _end(message: str, code: int) -> None:
    print(f"lamina: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)
