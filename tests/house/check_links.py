"""Finds dead links in Markdown, without a network: missing files, anchors, line numbers and definitions.

Run as a program it checks README.md and everything in architecture/ and docs/, or the files it is given, and
exits with 1 if a link is dead. Addresses of other hosts are left alone.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})")
INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<text>.*?)\s*#*\s*$")
# [text](target "title"), [text](<target>) and pictures; a link's text may hold a picture.
LINK = re.compile(
    r"\]\(\s*(?:<(?P<angled>[^>]*)>|(?P<plain>[^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s+[\"'(][^)]*)?\s*\)"
)
DEFINITION = re.compile(r"^ {0,3}\[(?P<label>[^\]]+)\]:\s*<?(?P<target>[^\s>]+)>?")
REFERENCE = re.compile(r"\[(?P<text>[^\[\]]+)\]\[(?P<label>[^\[\]]*)\]")
ATTRIBUTE = re.compile(r"""<[a-zA-Z][^>]*?\s(?:href|src)=["'](?P<target>[^"']*)["']""")
OWN_ANCHOR = re.compile(r"""<[a-zA-Z][^>]*?\s(?:id|name)=["'](?P<name>[^"']+)["']""")
LINES = re.compile(r"L(\d+)(?:-L(\d+))?")


@dataclass(frozen=True)
class DeadLink:
    file: Path
    line: int
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.target}: {self.reason}"


def prose(text: str) -> list[str]:
    """The lines of a document, those of code blocks and comments empty, so that line numbers stay."""
    text = COMMENT.sub(lambda found: "\n" * found.group().count("\n"), text)
    lines = []
    closing = ""
    for line in text.splitlines():
        fence = FENCE.match(line)
        if closing:
            lines.append("")
            if fence and fence["fence"].startswith(closing) and not line.strip().strip(closing[0]):
                closing = ""
        elif fence:
            lines.append("")
            closing = fence["fence"]
        else:
            lines.append(line)
    return lines


@cache
def anchors(file: Path) -> frozenset[str]:
    """The anchors that GitHub gives a document's headings, and those that its author has set."""
    found: set[str] = set()
    for line in prose(file.read_text(encoding="utf-8")):
        found.update(match["name"] for match in OWN_ANCHOR.finditer(line))
        if heading := HEADING.match(line):
            slug = slugify(heading["text"])
            number, unique = 0, slug
            while unique in found:
                number += 1
                unique = f"{slug}-{number}"
            found.add(unique)
    return frozenset(found)


def slugify(heading: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", heading)
    text = re.sub(r"<[^>]+>", "", text).replace("`", "").replace("*", "")
    text = re.sub(r"\b_(.+?)_\b", r"\1", text)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def links(file: Path) -> Iterator[tuple[int, str]]:
    """Every target with its line number; a reference without a definition is the target `[label]`."""
    lines = prose(file.read_text(encoding="utf-8"))
    defined = {match["label"].lower() for line in lines if (match := DEFINITION.match(line))}
    for number, line in enumerate(lines, 1):
        if definition := DEFINITION.match(line):
            yield number, definition["target"]
            continue
        shown = INLINE_CODE.sub("code", line)
        for match in LINK.finditer(shown):
            yield number, match["angled"] or match["plain"] or ""
        for match in ATTRIBUTE.finditer(shown):
            yield number, match["target"]
        for match in REFERENCE.finditer(shown):
            label = match["label"] or match["text"]
            if label.lower() not in defined:
                yield number, f"[{label}]"


def complaint(file: Path, target: str, root: Path) -> str | None:
    """What is wrong with a link in a file, if anything is."""
    if not target or target.startswith("["):
        return "not defined" if target else "empty"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/"):
        return "absolute"
    there = (file.parent / unquote(parts.path)).resolve() if parts.path else file.resolve()
    if not there.is_relative_to(root.resolve()):
        return "outside the project"
    if not _exists(there, root.resolve()):
        return "no such file"
    return _dead_fragment(there, unquote(parts.fragment)) if parts.fragment else None


def _exists(path: Path, root: Path) -> bool:
    """With upper and lower case as written, on every file system."""
    while path != root:
        if path.name not in {entry.name for entry in path.parent.iterdir()} if path.parent.is_dir() else True:
            return False
        path = path.parent
    return True


def _dead_fragment(there: Path, fragment: str) -> str | None:
    if there.suffix == ".md":
        return None if fragment in anchors(there) else "no such anchor"
    lines = LINES.fullmatch(fragment)
    if lines is None or not there.is_file():
        return "no such anchor"
    last = int(lines[2] or lines[1])
    return None if last <= len(there.read_text(encoding="utf-8").splitlines()) else "no such line"


def dead_links(files: list[Path], root: Path = ROOT) -> list[DeadLink]:
    return [
        DeadLink(file, line, target, reason)
        for file in files
        for line, target in links(file)
        if (reason := complaint(file, target, root))
    ]


def documents() -> list[Path]:
    return [
        ROOT / "README.md",
        *sorted({ROOT / "architecture/README.md", *(ROOT / "architecture").rglob("*.md")}),
        *sorted({ROOT / "docs/index.md", *(ROOT / "docs").rglob("*.md")}),
    ]


def main(arguments: list[str]) -> int:
    files = [Path(name) for name in arguments] or documents()
    dead = dead_links(files)
    for link in dead:
        print(link, file=sys.stderr)
    checked = sum(1 for file in files for _ in links(file))
    print(f"{len(files)} documents, {checked} links, {len(dead)} dead")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
