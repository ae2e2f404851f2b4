"""Finds what is wrong with the built guide: dead links, things that a reader's browser would fetch from
elsewhere, and settings that the reference has left out.

Run as a program it checks the folder it is given, and exits with 1 if anything is wrong. It needs no network.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import click

from litestar_tus import TUSConfig
from litestar_tus.backends.file import FileStorageBackend
from litestar_tus.backends.s3 import S3StorageBackend
from litestar_tus.cli import main as command

REFERENCE = Path("docs/configuration.html")
# What is loaded to show a page, by element; `a` leads the reader away and may lead anywhere.
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
# What Python, attrs and click print of values that are not meant to be read.
RAW = re.compile(r"<function \S+|<\S+ object at 0x|Sentinel\.\w+|attr_dict\[|= NOTHING\b")


@dataclass
class Page(HTMLParser):
    """One page: its anchors, where it links to, what it loads, and what it says."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.anchors.update(value for name in ("id", "name") if (value := values.get(name)))
        target = values.get(LOADED.get(tag, "href"))
        if target is None:
            return
        if tag == "a":
            self.links.append(target)
        elif tag in LOADED:
            self.links.append(target)
            self.loaded.append(target)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@cache
def page(file: Path) -> Page:
    read = Page()
    read.feed(file.read_text(encoding="utf-8"))
    return read


def problems(site: Path) -> Iterator[str]:
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: no pages"
    for file in pages:
        for target in page(file).loaded:
            if urlsplit(target).netloc:
                yield f"{file.relative_to(site)}: loads {target}"
        for target in page(file).links:
            if complaint := dead(file, target):
                yield f"{file.relative_to(site)}: {target}: {complaint}"
        for raw in RAW.findall("".join(page(file).text)):
            yield f"{file.relative_to(site)}: shows {raw}"
    for sheet in sorted(site.rglob("*.css")):
        # A font's address is no fault: that of the theme is asked for only where a page shows a flag.
        if "@import" in sheet.read_text(encoding="utf-8"):
            yield f"{sheet.relative_to(site)}: imports another sheet"


def dead(file: Path, target: str) -> str | None:
    """What is wrong with a link, if anything is. Addresses of other hosts are left alone."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not there.is_file():
        return "no such file"
    if parts.fragment and there.suffix == ".html" and unquote(parts.fragment) not in page(there).anchors:
        return "no such anchor"
    return None


def left_out(reference: Page) -> Iterator[str]:
    """Settings of which the reference says nothing."""
    name = f"{TUSConfig.__module__.partition('.')[0]}.{TUSConfig.__name__}"
    for setting in attrs.fields(TUSConfig):
        if f"{name}.{setting.name}" not in reference.anchors:
            yield f"{name}.{setting.name}"
    said = " ".join("".join(reference.text).split())
    for backend in (FileStorageBackend, S3StorageBackend):
        for parameter in list(inspect.signature(backend).parameters):
            if f"{parameter} (" not in said and f"{parameter} –" not in said:
                yield f"{backend.__name__}({parameter})"
    words = set(re.findall(r"--[a-z0-9-]+|[A-Z][A-Z0-9_]+", said))
    for path, option in options(command, "litestar-tus"):
        for spelling in option.opts + option.secondary_opts:
            if spelling not in words:
                yield f"{path} {spelling}"
        if isinstance(option.envvar, str) and option.envvar not in words:
            yield f"{path}: {option.envvar}"


def options(found: click.Command, path: str) -> Iterator[tuple[str, click.Option]]:
    for parameter in found.params:
        if isinstance(parameter, click.Option) and not parameter.is_eager:
            yield path, parameter
    if isinstance(found, click.Group):
        for name, inner in found.commands.items():
            yield from options(inner, f"{path} {name}")


def main(arguments: list[str]) -> int:
    site = Path(arguments[0])
    wrong = list(problems(site))
    wrong += [f"{REFERENCE}: nothing of {name}" for name in left_out(page(site / REFERENCE))]
    for line in wrong:
        print(line, file=sys.stderr)
    pages = [page(file) for file in site.rglob("*.html")]
    print(f"{len(pages)} pages, {sum(len(read.links) for read in pages)} links, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
