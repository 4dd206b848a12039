"""What a live figure is in Python: an element, its settings, and its data."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cnnviz._files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cnnviz._types import File

CORE = ("arithmetic", "drawing", "pictures", "figure")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
{scripts}
</body>
</html>
"""
_STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 1rem auto; padding: 0 1rem; }"""


class LiveFigure:
    """A figure that can be played with.

    Notebooks show it where it is the last expression of a cell.

    Attributes
    ----------
    name : str
        The name of the figure's script, such as ``"pixel_inspector"``; its element is
        ``<cnn-pixel-inspector>``.
    settings : dict of str
        The attributes of the element: what its controls are set to at first.
    data : dict
        What the script gets, ready for JSON.
    folder : pathlib.Path
        Where the scripts are.
    """

    folder = Path(__file__).parent

    def __init__(
        self,
        name: str,
        data: dict[str, Any],
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.data = data
        self.settings = {k: str(v) for k, v in (settings or {}).items()}

    def __repr__(self) -> str:
        settings = "".join(f", {k}={v!r}" for k, v in self.settings.items())
        return f"<live figure {self.name}{settings}>"

    @property
    def tag(self) -> str:
        """The name of the custom element."""
        return "cnn-" + self.name.replace("_", "-")

    @property
    def scripts(self) -> list[Path]:
        """The files that the element needs, in the order in which they must run."""
        return [self.folder / f"{name}.js" for name in (*CORE, self.name)]

    def json(self) -> str:
        """Return the data as JSON that can stand in a script of a page."""
        return _json(self.data)

    def save(self, path: File) -> None:
        """Write one HTML file that holds all the figure needs.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if there is one.

        Raises
        ------
        OSError
            If it can't be written. What stood there before is kept.
        """
        page = _PAGE.format(
            policy=_policy(self._sources()),
            title=escape(self._words),
            style=_STYLE,
            body=self._element(),
            scripts=self._code(),
        )
        write_whole(Path(path), page.encode("utf-8"))

    def save_data(self, path: File) -> None:
        """Write the data as a script, which the element's attribute `src` can name.

        The settings go with it: they hold where the element has no such attribute.

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if there is one.

        Raises
        ------
        OSError
            If it can't be written. What stood there before is kept.
        """
        # As text: in a literal, "__proto__" would be no name like others.
        data, settings = _json(self.json()), _json(self.settings)
        script = f"cnnviz.provide(JSON.parse({data}),{settings});\n"
        write_whole(Path(path), script.encode("utf-8"))

    def _element(self, extra=""):
        """Return the element with its data inside."""
        settings = "".join(f' {k}="{escape(v)}"' for k, v in self.settings.items())
        data = f'<script type="application/json">{self.json()}</script>'
        words = f"<p>{escape(self._words)}: needs JavaScript.</p>"
        return f"<{self.tag}{settings}{extra}>{data}{words}</{self.tag}>"

    @property
    def _words(self):
        """The figure's name, to be read."""
        return self.name.replace("_", " ")

    def _sources(self):
        """Return what stands in the scripts."""
        return [script.read_text("utf-8") for script in self.scripts]

    def _code(self):
        """Return the scripts as elements."""
        return "\n".join(f"<script>{source}</script>" for source in self._sources())

    def _repr_html_(self) -> str:
        return self._element(" embedded") + "\n" + self._code()


def _json(value):
    """Return a value as JSON that can stand in a script of a page."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _policy(sources):
    """Return a content security policy that allows these scripts and nothing else."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in sources
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:"
    )
