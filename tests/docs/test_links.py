from pathlib import Path

import pytest

from tests.docs.site.links import problems


def site(folder: Path, body: str) -> Path:
    (folder / "b").mkdir()
    (folder / "b" / "index.html").write_text('<h2 id="there">x</h2><a href="../a.html">a</a>', encoding="utf-8")
    (folder / "s.css").write_text("", encoding="utf-8")
    (folder / "a.html").write_text(body, encoding="utf-8")
    (folder / "404.html").write_text('<a href="/anywhere.html">x</a>', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "body",
    [
        '<a href="b/index.html">x</a><a href="b#there">x</a><a href="b/index.html?q=1#there">x</a>',
        '<link rel="stylesheet" href="s.css"><a href="https://example.org/x#y">x</a><a href="mailto:a@b">x</a>',
        '<link rel="canonical" href="https://a.org/a.html"><p id="p"></p><a href="#p">x</a><a href="#__top">x</a>',
    ],
)
def test_what_is_there_is_no_problem(body: str, tmp_path: Path) -> None:
    assert list(problems(site(tmp_path, body))) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="c.html">x</a>', "a.html links to c.html, which is not there"),
        ('<a href="b#nowhere">x</a>', "a.html links to b#nowhere, and there is no such anchor"),
        ('<a href="#nowhere">x</a>', "a.html links to #nowhere, and there is no such anchor"),
        ('<img src="b/c.png">', "a.html links to b/c.png, which is not there"),
        ('<script src="https://cdn.example.org/x.js"></script>', "a.html loads https://cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="//fonts.example.org/f.css">', "a.html loads //fonts.example.org/f.css"),
    ],
)
def test_what_is_not_there_or_comes_from_elsewhere_is_a_problem(body: str, problem: str, tmp_path: Path) -> None:
    assert list(problems(site(tmp_path, body))) == [problem]
