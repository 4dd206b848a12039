"""Blocks of code in documents: in reStructuredText, Markdown and docstrings."""

import ast
from collections import defaultdict
from typing import NamedTuple
from unittest.mock import patch

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives
from markdown_it import MarkdownIt

# Directives whose content, if any, is prose or mathematics; others may hold code.
NO_CODE = {"automodule", "autosummary", "currentmodule", "include", "live-element"}
NO_CODE |= {"live-figure", "math", "pictures", "rst-class", "toctree"}

ANY_OPTION = defaultdict(lambda: directives.unchanged, {"class": directives.unchanged})


class Block(NamedTuple):
    """Code, and the language that it is said to be in."""

    kind: str
    code: str


def blocks(path):
    """Return the blocks of code of a document, or of a module's docstrings."""
    text = path.read_text("utf-8")
    match path.suffix:
        case ".md":
            return blocks_of_markdown(text)
        case ".rst":
            return blocks_of_rst(text)
        case ".py":
            return [block for doc in docstrings(text) for block in blocks_of_rst(doc)]


def blocks_of_markdown(text):
    return [
        Block(token.info, token.content.rstrip())
        for token in MarkdownIt().parse(text)
        if token.type in ("fence", "code_block")
    ]


def blocks_of_rst(text):
    quiet = {"report_level": 5, "halt_level": 4, "_disable_config": True}
    with patch.object(directives, "directive", lambda *_: (Any, [])):
        tree = publish_doctree(text, settings_overrides=quiet)
    return [
        Block(block.get("kind", block.tagname), block.astext())
        for block in tree.findall(
            lambda node: isinstance(node, nodes.literal_block | nodes.doctest_block)
        )
    ]


class Any(Directive):
    """Stands in for all directives, Sphinx's and the site's own among them."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = ANY_OPTION
    has_content = True

    def run(self):
        if self.name in NO_CODE:
            inside = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, inside)
            return [inside]
        code = "\n".join(self.content)
        kind = self.name if self.name != "code-block" else self.arguments[0]
        return [nodes.literal_block(code, code, kind=kind)]


def docstrings(source):
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
            yield docstring
