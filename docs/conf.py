"""How the guide is built: `make docs`.

The root of the build is the project's, so that the guide and `architecture/` can refer to each other by the
same relative links that work in a checkout. Nothing is fetched, neither when it is built nor when it is read.
"""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import Any

import click
from attrs import NOTHING, Factory, fields_dict, has
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.inspect import object_description

from litestar_tus import TUSConfig
from litestar_tus.cli import main as command

project = "litestar-tus"
author = "The litestar-tus authors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = installed("litestar-tus")

root_doc = "docs/index"
include_patterns = ["docs/**", "architecture/**"]
exclude_patterns = [".*", "build", "dist", "mutants", "node_modules", "src", "tests", "uploads"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a page of decisions may begin where it likes

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"

html_theme = "shibuya"
html_title = "litestar-tus"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["_site"]  # sends whoever opens the site's root to the guide
templates_path = ["_templates"]  # without the fonts that the theme would have a reader's browser fetch
html_theme_options = {
    "accent_color": "blue",
    "show_ai_links": False,
    "globaltoc_expand_depth": 0,
    "nav_links": [
        {"title": "Start", "url": "docs/start"},
        {"title": "Configuration", "url": "docs/configuration"},
        {"title": "Deployment", "url": "docs/deployment"},
        {"title": "Architecture", "url": "docs/inside"},
    ],
}


def _signature(
    _app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, arguments: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Fifty fields in one line are no help; each has an entry of its own. A protocol is not called. And of a
    default that is in the class, or made anew each time, what attrs generates has only a name.
    """
    if obj is TUSConfig or getattr(obj, "_is_protocol", False):
        return "", None
    if arguments is None:
        return None
    if "~P" in arguments:  # of a ParamSpec, Sphinx makes what it cannot read itself
        return arguments.replace("[~P]", "P").replace("~typing.~P", "P"), returned
    if not has(obj):
        return None
    fields = fields_dict(obj)
    shown = re.sub(
        r"attr_dict\['(\w+)'\]\.default", lambda name: object_description(fields[name[1]].default), arguments
    )
    return shown.replace("= NOTHING", "= ..."), returned


def _with_default(_app: Sphinx, _what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """A field's default is nowhere in its docstring."""
    owner, _, field = name.rpartition(".")
    if owner != "litestar_tus.TUSConfig" or field not in fields_dict(TUSConfig):
        return
    default = fields_dict(TUSConfig)[field].default
    if default is NOTHING:
        return
    if isinstance(default, Factory):
        default = default.factory()
    shown = "all of them" if field == "extensions" else f"``{default!r}``"
    # An optional number's check is inside another.
    check = fields_dict(TUSConfig)[field].validator
    number = str(getattr(check, "validator", check))
    lines += ["", f"Default: {shown}." + (f" Otherwise {number}." if number.startswith("a ") else "")]


def _show_defaults(command: click.Command) -> None:
    """`--help` does, because of the command's context; sphinx-click asks each option."""
    if command.context_settings.get("show_default"):
        for option in command.params:
            if isinstance(option, click.Option) and option.show_default is None:
                # click has an object of its own for a flag that has none.
                option.show_default = isinstance(option.default, str | int | float)
    for inner in getattr(command, "commands", {}).values():
        _show_defaults(inner)


def _mark_options(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Or the two hyphens of `--option` would become a dash."""
    lines[:] = [re.sub(r"(?<!`)--[a-z-]+", r"``\g<0>``", line) for line in lines]


def _explain_diagrams(_app: Sphinx, page: nodes.document) -> None:
    """What draws Mermaid's diagrams is a large script from elsewhere. They can be read, too."""
    for diagram in list(page.findall(nodes.literal_block)):
        if diagram["language"] == "mermaid":
            text = diagram.astext().replace("<br/>", ", ")
            how = "In Mermaid's notation; the same page of the repository has it drawn."
            said = [
                nodes.paragraph("", "", nodes.emphasis(text=how)),
                nodes.literal_block(text, text, language="text"),
            ]
            diagram.replace_self(said)


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    _show_defaults(command)
    app.connect("sphinx-click-process-description", _mark_options)
    app.connect("doctree-read", _explain_diagrams)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _with_default)
