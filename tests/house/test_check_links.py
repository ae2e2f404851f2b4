from pathlib import Path

import pytest

from tests.house.check_links import anchors, dead_links, links, main, slugify

OTHER = """# Glossary

## What an `offset` is, and why

## Twice
## Twice

<a id="own"></a>
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").write_text(OTHER)
    (tmp_path / "docs" / "code.py").write_text("one\ntwo\n")
    (tmp_path / "docs" / "a b.md").write_text("# T\n")
    return tmp_path


def reasons(project: Path, text: str) -> list[str]:
    (project / "README.md").write_text(text)
    return [link.reason for link in dead_links([project / "README.md"], project)]


@pytest.mark.parametrize(
    "text",
    [
        "[x](docs/glossary.md)",
        "[x](docs)",
        "[x](docs/)",
        "[x](./docs/../docs/code.py)",
        "[x](docs/a%20b.md#t)",
        "[x](<docs/a b.md>)",
        '[x](docs/glossary.md "A title")',
        "[x](docs/glossary.md#what-an-offset-is-and-why)",
        "[x](docs/glossary.md#twice-1)",
        "[x](docs/glossary.md#own)",
        "[x](docs/code.py#L2)",
        "[x](docs/code.py#L1-L2)",
        "# Here\n[x](#here)",
        "[x][label]\n\n[label]: docs/glossary.md",
        "[x][]\n\n[X]: docs/glossary.md",
        "[![picture](docs/code.py)](docs/glossary.md)",
        "[x](https://example.org/missing#nowhere) and [y](mailto:someone@example.org)",
        '<img src="docs/code.py">',
        "`[x](missing.md)` and ``[x][y]``",
        "```text\n[x](missing.md)\n```",
        "~~~~\n~~~\n[x](missing.md)\n~~~~",
        "<!-- [x](missing.md)\n[x](missing.md) -->",
    ],
)
def test_a_live_link_passes(project: Path, text: str) -> None:
    assert reasons(project, text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[x](docs/missing.md)", "no such file"),
        ("[x](docs/Glossary.md)", "no such file"),
        ("[x](missing/glossary.md)", "no such file"),
        ("[x](docs/glossary.md#missing)", "no such anchor"),
        ("[x](docs/glossary.md#twice-2)", "no such anchor"),
        ("[x](#missing)", "no such anchor"),
        ("```md\n# Here\n```\n[x](#here)", "no such anchor"),
        ("[x](docs/code.py#L3)", "no such line"),
        ("[x](docs/code.py#L1-L3)", "no such line"),
        ("[x](docs/code.py#main)", "no such anchor"),
        ("[x](docs#L1)", "no such anchor"),
        ("[x](../elsewhere.md)", "outside the project"),
        ("[x](/docs/glossary.md)", "absolute"),
        ("[x]()", "empty"),
        ("[x][label]", "not defined"),
        ("[label]: docs/missing.md", "no such file"),
        ("[![picture](docs/missing.png)](docs/glossary.md)", "no such file"),
        ("[![picture](docs/code.py)](docs/missing.md)", "no such file"),
        ('<a href="docs/missing.md">x</a>', "no such file"),
        ("```text\n```\n[x](missing.md)", "no such file"),
    ],
)
def test_a_dead_link_is_found(project: Path, text: str, reason: str) -> None:
    assert reasons(project, text) == [reason]


def test_the_line_is_right_after_code_and_comments(project: Path) -> None:
    (project / "README.md").write_text("<!--\n-->\n```sh\nx\n```\n[x](missing.md)\n")

    assert list(links(project / "README.md")) == [(6, "missing.md")]


def test_anchors_are_those_of_the_headings(project: Path) -> None:
    assert anchors(project / "docs" / "glossary.md") == {
        "glossary",
        "what-an-offset-is-and-why",
        "twice",
        "twice-1",
        "own",
    }


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("4. Files adapter", "4-files-adapter"),
        ("A *very* `loud_name` (really)", "a-very-loud_name-really"),
        ("[Link](x.md) & more", "link--more"),
        ("Größe – in bytes", "größe--in-bytes"),
    ],
)
def test_slugs_are_githubs(heading: str, slug: str) -> None:
    assert slugify(heading) == slug


def test_the_program_fails_on_a_dead_link_and_on_a_missing_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "README.md").write_text("[x](https://example.org)\n")
    assert main([str(project / "README.md")]) == 0
    assert capsys.readouterr().out == "1 documents, 1 links, 0 dead\n"

    (project / "README.md").write_text("[x](missing.md)\n")
    assert main([str(project / "README.md")]) == 1
    assert "README.md:1: missing.md: " in capsys.readouterr().err

    with pytest.raises(FileNotFoundError):
        main([str(project / "MISSING.md")])
