"""The configuration: what wins, what is refused, and in which words."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainrouter.config import ConfigError, Loaded, Secret, changed_keys, key_from, load, user_file

NOWHERE = Path("/nonexistent/brainrouter.yaml")


def written(folder: Path, text: str | bytes, name: str = "given.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def read(folder: Path, text: str | bytes, **env: str) -> Loaded:
    return load(written(folder, text), {"HOME": str(folder), **env}, NOWHERE)


def refused(folder: Path, text: str | bytes, **env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **env)
    return str(caught.value)


def test_without_any_file_everything_has_its_default(tmp_path: Path) -> None:
    loaded = load(None, {"HOME": str(tmp_path)}, NOWHERE)
    assert loaded.files == ()
    assert loaded.mentioned == frozenset()
    assert loaded.settings.manifest.base_url == "http://localhost:3001/v1"
    assert loaded.settings.llama_swap.base_url == "http://localhost:8081/v1"
    assert loaded.settings.decision.deadline_ms == 200
    assert (loaded.settings.manifest.stall_s, loaded.settings.llama_swap.stall_s) == (180, 180)
    assert (loaded.settings.bridge.timeout_secs, loaded.settings.bridge.default_model) == (
        600,
        "brainrouter/auto",
    )
    assert loaded.settings.review.max_iterations == 5


def test_a_later_file_wins_key_by_key_and_keeps_what_it_does_not_mention(tmp_path: Path) -> None:
    system = written(
        tmp_path,
        "manifest: {base_url: 'http://system/v1', stall_s: 1}\nreview: {max_iterations: 2}\n"
        "bridge: {discord: {prefix: '?', enabled: true}}\n",
        "etc/brainrouter.yaml",
    )
    own = written(
        tmp_path,
        "manifest: {stall_s: 2, first_byte_s: 2}\nbridge: {discord: {prefix: '%'}}\n",
        ".config/brainrouter/brainrouter.yaml",
    )
    given_file = written(tmp_path, "manifest: {first_byte_s: 3}\n")
    loaded = load(given_file, {"HOME": str(tmp_path)}, system)
    manifest = loaded.settings.manifest
    assert (manifest.base_url, manifest.stall_s, manifest.first_byte_s) == ("http://system/v1", 2, 3)
    assert loaded.settings.review.max_iterations == 2
    assert (loaded.settings.bridge.discord.prefix, loaded.settings.bridge.discord.enabled) == ("%", True)
    assert loaded.files == (system, own, given_file)
    assert loaded.mentioned == {"manifest", "review", "bridge"}


def test_a_list_is_replaced_as_a_whole(tmp_path: Path) -> None:
    system = written(tmp_path, "manifest: {protocols: [chat, messages]}", "etc.yaml")
    loaded = load(written(tmp_path, "manifest: {protocols: [chat]}"), {"HOME": str(tmp_path)}, system)
    assert loaded.settings.manifest.protocols == ["chat"]


def test_the_users_file_lies_where_xdg_says(tmp_path: Path) -> None:
    assert user_file({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/brainrouter/brainrouter.yaml")
    assert user_file({"HOME": "/h"}) == Path("/h/.config/brainrouter/brainrouter.yaml")


@pytest.mark.parametrize(
    "env", [{"XDG_CONFIG_HOME": ".", "HOME": "/h"}, {"XDG_CONFIG_HOME": "etc", "HOME": "/h"}]
)
def test_a_relative_folder_is_not_believed_so_that_a_repository_cannot_configure_us(
    env: dict[str, str],
) -> None:
    assert user_file(env) == Path("/h/.config/brainrouter/brainrouter.yaml")


def test_an_empty_home_never_means_the_current_folder() -> None:
    assert user_file({"HOME": ""}).is_absolute()


def test_an_explicit_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        load(tmp_path / "gone.yaml", {"HOME": str(tmp_path)}, NOWHERE)


def test_an_explicit_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {"HOME": str(tmp_path)}, NOWHERE)


def test_a_users_file_that_cannot_even_be_looked_for_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/" + "x" * 5000}, NOWHERE)


@pytest.mark.parametrize("text", ["", "# all\n# comments\n", "---\n", "~\n", "manifest:\nllama_swap:\n"])
def test_a_file_that_says_nothing_changes_nothing(tmp_path: Path, text: str) -> None:
    loaded = read(tmp_path, text)
    assert loaded.settings == load(None, {"HOME": str(tmp_path)}, NOWHERE).settings
    assert loaded.mentioned == frozenset()


def test_a_section_within_a_section_may_be_all_comments_too(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bridge:\n  discord:\n  #  enabled: true\n  signal:\n  timeout_secs: 5\n")
    assert loaded.settings.bridge.timeout_secs == 5
    assert not loaded.settings.bridge.discord.enabled


def test_an_empty_section_does_not_undo_an_earlier_file(tmp_path: Path) -> None:
    system = written(tmp_path, "bridge: {discord: {enabled: true}}", "etc.yaml")
    loaded = load(written(tmp_path, "bridge:\n  discord:\n"), {"HOME": str(tmp_path)}, system)
    assert loaded.settings.bridge.discord.enabled


def test_null_unsets_a_key_that_may_be_unset(tmp_path: Path) -> None:
    system = written(tmp_path, "llama_swap: {fallback_model: a}", "etc.yaml")
    loaded = load(written(tmp_path, "llama_swap: {fallback_model: null}"), {"HOME": str(tmp_path)}, system)
    assert loaded.settings.llama_swap.fallback_model is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manifset: {}", "key `manifset` is not known; did you mean `manifest`?"),
        ("manifest: {base_ulr: x}", "key `manifest.base_ulr` is not known; did you mean `base_url`?"),
        ("bridge: {discord: {tokne: x}}", "key `bridge.discord.tokne` is not known; did you mean `token`?"),
        ("zzzzzzz: 1", "key `zzzzzzz` is not known"),
    ],
)
def test_an_unknown_key_is_named_and_the_nearest_known_one_offered(
    tmp_path: Path, text: str, words: str
) -> None:
    assert refused(tmp_path, text) == f"{tmp_path / 'given.yaml'}: line 1: {words}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manifest: 3", "key `manifest`: expected a section, got int"),
        ("manifest: [a]", "key `manifest`: expected a section, got array"),
        ("manifest: {base_url: 3}", "key `manifest.base_url`: expected str, got int"),
        ("manifest: {base_url: }", "key `manifest.base_url`: expected str, got null"),
        ("manifest: {keep_model_names: 'yes'}", "key `manifest.keep_model_names`: expected bool, got str"),
        ("manifest: {first_byte_s: fast}", "key `manifest.first_byte_s`: expected float, got str"),
        ("manifest: {first_byte_s: true}", "key `manifest.first_byte_s`: expected float, got bool"),
        ("manifest: {protocols: chat}", "key `manifest.protocols`: expected array, got str"),
        (
            "manifest: {protocols: [x]}",
            "key `manifest.protocols[0]`: expected chat, messages or responses, found 'x'",
        ),
        (
            "llama_swap: {tool_slimming: 7}",
            "key `llama_swap.tool_slimming`: expected 0, 1 or 2, found 7",
        ),
        (
            "review: {forced_mode: fast}",
            "key `review.forced_mode`: expected auto, cloud or local, found 'fast'",
        ),
        ("review: {forced_mode: off}", "key `review.forced_mode`: expected str, got bool"),
        (
            "llama_swap: {context_tokens: 1.5}",
            "key `llama_swap.context_tokens`: expected int | null, got float",
        ),
        ("on: 1", "a key is not text; put it in quotes"),
        ("manifest: {1: 2}", "line 1: a key of `manifest` is not text"),
        ("- a", "expected sections such as `manifest:`, found a list"),
        ("just text", "expected sections such as `manifest:`, found text"),
        ("42", "expected sections such as `manifest:`, found int"),
    ],
)
def test_a_wrong_type_names_file_key_and_what_was_expected(tmp_path: Path, text: str, words: str) -> None:
    said = refused(tmp_path, text)
    where = "line 1: " if "key `" in words else ""
    assert said.startswith(f"{tmp_path / 'given.yaml'}: {where}{words}")


def test_the_line_of_a_wrong_key_is_told_of_the_file_it_stands_in(tmp_path: Path) -> None:
    system = written(tmp_path, "manifest:\n  stall_s: 3\n", "etc.yaml")
    given = written(tmp_path, "# mine\n\nbridge:\n  discord:\n    enabled: no\n    prefix: [x]\n")
    with pytest.raises(ConfigError) as caught:
        load(given, {"HOME": str(tmp_path)}, system)
    assert str(caught.value) == f"{given}: line 6: key `bridge.discord.prefix`: expected str, got array"


def test_what_changed_is_told_by_key(tmp_path: Path) -> None:
    before = read(tmp_path, "manifest: {stall_s: 3}").settings
    after = read(tmp_path, "manifest: {stall_s: 4}\nbridge: {signal: {prefix: x}}").settings
    assert changed_keys(before, after) == ["manifest.stall_s", "bridge.signal.prefix"]
    assert changed_keys(after, after) == []


@pytest.mark.parametrize(
    "text",
    [
        "decision: {deadline_ms: 0}",
        "decision: {deadline_ms: .nan}",
        "decision: {deadline_ms: .inf}",
        "manifest: {stall_s: -1}",
        "llama_swap: {first_byte_s: 0}",
        "llama_swap: {context_tokens: 0}",
        "limits: {body_bytes: 0}",
        "limits: {total_s: .inf}",
        "limits: {drain_s: -1}",
        "limits: {drain_s: .nan}",
        "review: {max_iterations: 0}",
        "bridge: {timeout_secs: 0}",
        "decision: {knob: .nan}",
    ],
)
def test_a_number_that_no_clock_can_use_is_refused_by_name(tmp_path: Path, text: str) -> None:
    section, key = text.split(": {")[0], text.split("{")[1].split(":")[0]
    assert f"key `{section}.{key}`: expected a number" in refused(tmp_path, text)


def test_no_time_to_drain_is_allowed(tmp_path: Path) -> None:
    assert read(tmp_path, "limits: {drain_s: 0}").settings.limits.drain_s == 0


@pytest.mark.parametrize(
    "text", ["manifest: {stall_s: 1}\nmanifest: {}\n", "manifest:\n  stall_s: 1\n  stall_s: 2\n"]
)
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, text)
    assert "is given twice" in said
    assert "line " in said


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("manifest:\n\tbase_url: x\n", "line 2, column 1"),
        ("manifest:\n  base_url: 'x\n", "line "),
        ("a: b: c\n", "line 1, column 5"),
        ("manifest: !!python/object:os.system x\n", "line 1, column 11"),
        ("manifest: !!map x\n", "line 1, column 11"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
    ],
)
def test_broken_yaml_is_told_with_line_and_column(tmp_path: Path, text: str, where: str) -> None:
    assert refused(tmp_path, text).startswith(f"{tmp_path / 'given.yaml'}: {where}")


@pytest.mark.parametrize("text", ["a: 2026-13-45\n", "[" * 5000, "a: !!int x\n", "a: \x00\n"])
def test_what_yaml_itself_stumbles_over_is_told_in_words(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).startswith(f"{tmp_path / 'given.yaml'}:")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert (
        refused(tmp_path, b"manifest: {}\n# \xff") == f"{tmp_path / 'given.yaml'}: not UTF-8 text (byte 15)"
    )


@pytest.mark.parametrize("key", ["manifest.base_url", "llama_swap.base_url", "bridge.signal.llama_swap_url"])
@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:3001", "ftp://localhost/v1", "file:///etc/passwd", "http://", "http:///v1", "http://[bad/v1",
        "http://localhost:99999/v1", "http://localhost:x/v1", "http://local host/v1", "http://localhost/v1?key=x",
        "http://localhost/v1#x", "javascript:alert(1)", "http://localhost/v1\r\nhost: x",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_reached_by_http_is_refused(tmp_path: Path, key: str, url: str) -> None:
    tree = "".join(f"{part}: {{" for part in key.split(".")[:-1])
    text = f"{tree}{key.split('.')[-1]}: {url!r}{'}' * key.count('.')}".replace("'", '"')
    assert f"key `{key}`: " in refused(tmp_path, text)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    said = refused(tmp_path, "manifest: {base_url: 'http://me:hunter2@localhost/v1'}")
    assert "password" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url", ["http://localhost:3001/v1", "https://example.net/v1/", "http://[::1]:1", "HTTP://x"]
)
def test_ordinary_addresses_pass(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, f"manifest: {{base_url: '{url}'}}").settings.manifest.base_url == url


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret!r} {secret!s} {secret} {[secret]}"
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    "value", [None, "", "   ", "mnfst_REPLACE_WITH_YOUR_KEY", " mnfst_REPLACE_WITH_YOUR_KEY\n"]
)
def test_no_key_and_the_installers_placeholder_are_the_same(value: str | None) -> None:
    assert key_from({} if value is None else {"K": value}, "K") is None


def test_a_key_is_taken_without_the_space_around_it() -> None:
    found = key_from({"K": " mnfst_abc\n"}, "K")
    assert found is not None
    assert found.reveal() == "mnfst_abc"
    assert key_from({"K": "x"}, None) is None
    assert key_from({"": "x"}, "") is None


@pytest.mark.parametrize("value", ["mnfst_a\r\nx-evil: 1", "clé", "two words", "a\x00"])
@pytest.mark.parametrize("section", ["manifest", "llama_swap"])
def test_a_key_that_no_header_can_carry_is_told_at_start_without_repeating_it(
    tmp_path: Path, section: str, value: str
) -> None:
    said = refused(tmp_path, f"{section}: {{api_key_env: MY_KEY}}", MY_KEY=value)
    assert said.startswith("environment variable MY_KEY: ")
    assert value not in said


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    with contextlib.suppress(ConfigError):
        read(tmp_path, raw)
