"""Set live figures into pages, in the place of the static figures of their cells.

A scraper for sphinx-gallery, over that of `figures`: where the last expression of a
cell is a live figure, its data becomes a script of its own and its element encloses
the figures that the cell drew. They are what is seen where no scripts run. Pages load
the scripts of the figures they show, and no others.
"""

import json
import re
import shutil
from html import escape
from pathlib import Path
from textwrap import indent

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

import _folders
import figures
from cnnviz.live import LiveFigure

STATIC = "_static/live"

DIRECTIVE = """
.. live-figure:: {name}
   :data: {data}
   :settings: {settings}

{content}
"""


def setup(app):
    """Add the directive, and put scripts and data into the site."""
    app.add_directive("live-figure", LiveFigureDirective)
    app.add_directive("live-element", LiveElement)
    app.add_node(live_figure, html=(visit, depart))
    app.connect("builder-inited", copy_scripts, priority=900)
    app.connect("html-page-context", load_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def scraper(block, block_vars, gallery_conf):
    """Return the reST of a cell's figures, inside of its live figure if it has one."""
    rst = figures.scraper(block, block_vars, gallery_conf)
    shown = block_vars["example_globals"].get("___")
    if not isinstance(shown, LiveFigure):
        return rst
    block_vars["example_globals"]["___"] = None
    page = Path(block_vars["target_file"])
    folder = page.parent / "live"
    folder.mkdir(exist_ok=True)
    number = 1 + block_vars.setdefault("live_figures", 0)
    block_vars["live_figures"] = number
    data = folder / f"{page.stem}_{number}.js"
    shown.save_data(data)
    return DIRECTIVE.format(
        name=shown.name,
        data=data.relative_to(gallery_conf["src_dir"]).as_posix(),
        settings=json.dumps(shown.settings),
        content=indent(rst, "   "),
    )


class live_figure(nodes.General, nodes.Element):  # noqa: N801 (as docutils names nodes)
    """A live figure; its children are what is seen without scripts."""


class LiveFigureDirective(SphinxDirective):
    """``.. live-figure:: name``, with the static figure as its content."""

    required_arguments = 1
    has_content = True
    option_spec = {  # noqa: RUF012 (as docutils wants it)
        "data": directives.path,
        "settings": json.loads,
    }

    def run(self):
        """Return the node."""
        figure = LiveFigure(self.arguments[0], None, self.options.get("settings"))
        for script in figure.scripts:
            self.env.note_dependency(script)
        counts = self.env.temp_data.setdefault("live-figures", {})
        counts[figure.name] = counts.get(figure.name, 0) + 1
        number = "" if counts[figure.name] == 1 else f"-{counts[figure.name]}"
        node = live_figure(figure=figure, data=Path(self.options["data"]).name)
        node["html_id"] = figure.name.replace("_", "-") + number
        node += self.parse_content_to_nodes()
        return [node, *caption(node)]


def caption(node):
    """Return the caption of the static figure once more: it fits the live one too."""
    for first in node.findall(nodes.caption):
        words = [child.deepcopy() for child in first.children]
        return [nodes.paragraph("", "", *words, classes=["live-caption"])]
    return []


class LiveElement(SphinxDirective):
    """``.. live-element:: name``: what its script says of it in its first comment."""

    required_arguments = 1

    def run(self):
        """Return the comment's paragraphs, names in code as such."""
        script = LiveFigure(self.arguments[0], None).scripts[-1]
        self.env.note_dependency(script)
        comment = re.match(r"/\*\*(.*?)\*/", script.read_text("utf-8"), re.S)[1]
        words = re.sub(r"^ \*", "", comment, flags=re.MULTILINE)
        words = re.sub(r"<[\w-]+>", r"`\g<0>`", words).replace("`", "``")
        return self.parse_text_to_nodes(words)


def visit(translator, node):
    """Open the element; its data lie beside its script."""
    figure = node["figure"]
    here = translator.builder.get_target_uri(translator.builder.current_docname)
    source = relative_uri(here, f"{STATIC}/data/{node['data']}")
    attributes = {"id": node["html_id"], "src": source, **figure.settings}
    text = "".join(f' {k}="{escape(v)}"' for k, v in attributes.items())
    translator.body.append(f"<{figure.tag}{text}>")


def depart(translator, node):
    """Close the element."""
    translator.body.append(f"</{node['figure'].tag}>\n")


def copy_scripts(app):
    """Copy the scripts, and the data that the examples wrote, into the site."""
    target = Path(app.outdir, STATIC)
    (target / "data").mkdir(parents=True)
    for script in Path(LiveFigure.folder).glob("*.js"):
        shutil.copy(script, target)
    for data in _folders.generated(app).glob("*/live/*.js"):
        shutil.copy(data, target / "data")


def load_scripts(app, pagename, templatename, context, doctree):
    """Let a page load the scripts of its live figures, in their order."""
    shown = [node["figure"] for node in doctree.findall(live_figure)] if doctree else []
    scripts = [script.name for figure in shown for script in figure.scripts]
    for name in dict.fromkeys(scripts):
        app.add_js_file(f"live/{name}", loading_method="defer")
