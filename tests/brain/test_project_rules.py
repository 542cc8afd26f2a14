"""`.brainrouter.yaml`: what it takes, what it refuses, and which requests it holds."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from brainrouter.brain.named_files import BadGlob, file_glob
from brainrouter.brain.project_rules import ProjectRules, hold, rules_of

PLACE = "shop/.brainrouter.yaml"


def request(*texts: str, ensure_ascii: bool = True) -> bytes:
    messages = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"messages": messages}, ensure_ascii=ensure_ascii).encode()


@pytest.mark.parametrize(
    ("tree", "never"),
    [
        ({"never_cloud": True}, True),
        ({"route": "local"}, False),
        ({"route": "local", "never_cloud": True}, True),
        ({"rules": [{"paths": ["secrets/**"], "never_cloud": True}], "route": "local"}, False),
        ({"rules": [{"paths": ["main.py"], "never_cloud": True}], "route": "local"}, True),
        ({"rules": [{"paths": ["main.py"], "route": "local"}]}, False),
    ],
)
def test_the_strictest_rule_that_holds_wins(tree: dict[str, Any], never: bool) -> None:
    held = hold([rules_of(tree, PLACE)], request("mend main.py"))
    assert held is not None
    assert held.never == never
    assert PLACE in held.why


@pytest.mark.parametrize("tree", [None, {}, {"never_cloud": False}, {"route": "auto"}, {"rules": []}])
def test_a_file_that_asks_for_nothing_holds_nothing(tree: object) -> None:
    assert hold([rules_of(tree, PLACE)], request("hello")) is None


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"never_clod": True}, "key `never_clod` is not known; did you mean `never_cloud`?"),
        ({"route": "cloud"}, "key `route`: expected local or auto"),
        ({"never_cloud": "yes"}, "key `never_cloud`: expected true or false"),
        ({"manifest": {"base_url": "http://evil"}}, "key `manifest` is not known"),
        ({"rules": {"paths": []}}, "key `rules`: expected a list"),
        ({"rules": [{"paths": "x"}]}, "key `rules[0].paths`: expected a list"),
        ({"rules": [{"paths": ["main.py"]}]}, "key `rules[0]`: expected `never_cloud: true`"),
        ({"rules": [{"paths": [7], "never_cloud": True}]}, "key `rules[0].paths`: expected file names"),
        ({"rules": [{"paths": ["**"], "never_cloud": True}]}, "names almost every file"),
        ({"rules": [{"command": "rm"}]}, "key `rules[0].command` is not known"),
        ({"rules": [{"paths": ["main.py"], "route": "cloud"}]}, "key `rules[0].route`: expected local"),
        ({"rules": ["x"]}, "key `rules[0]`: expected keys"),
        ({"rules": [{"paths": ["main.py"], "route": "local"}] * 51}, "at most 50"),
        (["never_cloud"], "expected keys such as"),
        ({7: True}, "key `7` is not known"),
    ],
)
def test_what_is_not_understood_is_named_and_keeps_everything_local(tree: object, said: str) -> None:
    rules = rules_of(tree, PLACE)
    assert said in rules.problem
    held = hold([rules], request("hello"))
    assert held is not None
    assert held.never
    assert said in held.why


def test_rules_of_a_folder_above_hold_too() -> None:
    inner, outer = rules_of({"route": "local"}, "a/b"), rules_of({"never_cloud": True}, "a")
    held = hold([inner, outer], request("hello"))
    assert held is not None
    assert held.never


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("secrets/**", "look at secrets/prod/key.txt please"),
        ("secrets/", "look at /home/me/shop/secrets/key"),
        ("/secrets/**", "cat secrets/key"),
        ("secrets", "ls -l secrets/"),
        ("*.pem", "open server.pem"),
        ("*.pem", "open `certs/server.pem`."),
        ("*.pem", '{"file_path":"/home/me/shop/certs/server.pem"}'),
        ("src/*/keys.py", "in src/app/keys.py, line 3"),
        ("src/**/keys.py", "in src/keys.py:12"),
        ("src/**/keys.py", "diff --git a/src/a/b/keys.py b/src/a/b/keys.py"),
        (".env", "source .env && run"),
        ("My Plans/*.md", "read My Plans/secret.md now"),
        ("überblick/*.md", "read überblick/a.md"),
        ("data?.csv", "head @data7.csv"),
    ],
)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_file_is_named_however_it_is_written(glob: str, text: str, ensure_ascii: bool) -> None:
    assert file_glob(glob).named_in(request("hello", text, ensure_ascii=ensure_ascii))


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("secrets/**", "keep no secrets from me"),
        ("secrets/", "keep no secrets from me"),
        ("secrets/**", "mysecrets/key"),
        ("*.pem", "a pem file, or server.pem.txt"),
        ("src/*/keys.py", "src/a/b/keys.py"),
        (".env", "the environment, prod.env and process.env.HOME"),
        ("data?.csv", "data.csv and data77.csv"),
    ],
)
def test_another_file_is_not_named(glob: str, text: str) -> None:
    assert file_glob(glob).named_in(request(text)) is None


@pytest.mark.parametrize(
    "glob", ["", " ", "*", "**/*", "*.*", "a" * 201, "a*b*c*d*e*f*g*hh", "a\nb", "x=y.txt", "a\\b"]
)
def test_a_glob_that_means_too_much_or_cannot_be_found_is_refused(glob: str) -> None:
    with pytest.raises(BadGlob):
        file_glob(glob)


@pytest.mark.parametrize("glob", ["*aa*aa*aa*aa*aa*aa", "**/aa/**/aa/**/aa", "a?aa*", "aaa aaa*", "*.pem"])
@pytest.mark.parametrize("filler", ["a" * 200_000, "aa/" * 60_000, "aaa " * 50_000, "aaa aaa/" * 25_000])
def test_a_hostile_text_does_not_make_the_search_long(glob: str, filler: str) -> None:
    started = time.monotonic()
    file_glob(glob).named_in(request(filler))
    assert time.monotonic() - started < 5


def test_a_problem_is_told_before_any_rule() -> None:
    held = hold([rules_of({"route": "local"}, "a"), ProjectRules("b", problem="it is a link")], b"")
    assert held is not None
    assert "b, which has a mistake: it is a link" in held.why
