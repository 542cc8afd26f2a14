"""Our verbs, on both platforms."""

from __future__ import annotations

from tests.bridge.rig import Rig
from tests.daemon import Stage
from tests.sim.handle import SimLlamaSwap


def plain(text: str) -> str:
    return text.replace("\\", "")


def test_the_mode_is_kept_for_the_channel_and_told(rig: Rig):
    assert "model: auto" in rig.ask("!br status")
    assert rig.ask("!br cloud") == "This channel now asks: cloud"
    assert "model: cloud" in rig.ask("!br status")
    assert "model: auto" in rig.ask("!br status", place=rig.elsewhere)
    rig.ask("hello")
    assert "--model=brainrouter/cloud" in rig.runs()[0]["argv"]
    assert rig.ask("!br auto") == "This channel now asks: decided for each question"


def test_a_model_is_chosen_by_name_by_alias_or_in_any_case_and_a_wrong_one_is_not(rig: Rig):
    assert plain(rig.ask("!br qwen-coder")) == "This channel now asks: qwen-coder"
    assert plain(rig.ask("!br small")) == "This channel now asks: gemma-small"
    assert plain(rig.ask("!br QWEN-CODER")) == "This channel now asks: qwen-coder"
    assert plain(rig.ask("!br qwen-codr")).startswith("There is no model qwen-codr. Did you mean qwen-coder?")
    assert "model: qwen-coder" in plain(rig.ask("!br status"))
    assert rig.ask("!br statsu") == "Did you mean `!br status`?"


def test_a_model_is_asked_once(rig: Rig):
    rig.ask("!br model gemma-small what is up")
    run = rig.runs()[0]
    assert "--model=brainrouter/gemma-small" in run["argv"]
    assert run["text"] == "what is up"
    assert "model: auto" in rig.ask("!br status")
    assert "no model nope-1" in plain(rig.ask("!br model nope-1 what is up"))
    assert len(rig.runs()) == 1


def test_model_with_a_name_alone_is_kept_on_signal_only(rig: Rig):
    said = plain(rig.ask("!br model qwen-coder"))
    if rig.discord:
        assert "NAME QUESTION" in said
        assert "model: auto" in rig.ask("!br status")
    else:
        assert said == "This channel now asks: qwen-coder"


def test_the_list_names_modes_models_and_aliases(rig: Rig):
    lines = plain(rig.ask("!br list")).splitlines()
    assert lines[:3] == ["- auto (now)", "- local", "- cloud"]
    assert {"- qwen-coder", "- gemma-small", "- small = gemma-small"} <= set(lines)


def test_omp_is_told_the_models_and_where_the_daemon_is(rig: Rig):
    rig.ask("hello")
    (file,) = rig.state.glob("*-omp/models.yml")
    text = file.read_text()
    assert rig.daemon.base_url in text
    assert '"id":"qwen-coder"' in text
    assert file.stat().st_mode & 0o777 == 0o600


def test_one_moves_between_folders_and_omp_runs_there(rig: Rig):
    assert plain(rig.ask("!br mkdir my-app")) == "Made /my-app"
    (rig.work / "my-app" / "notes.txt").write_text("hello")
    assert plain(rig.ask("!br cd my-app")) == "Now in /my-app"
    assert plain(rig.ask("!br ls")) == "/my-app\n- notes.txt (5 B)"
    rig.ask("hello")
    assert rig.runs()[0]["cwd"] == str(rig.work / "my-app")
    assert rig.ask("!br ..") == "Now in /"
    assert plain(rig.ask("!br ls")) == "/\n- my-app/"
    assert "top of the work folder" in rig.ask("!br ..")


def test_nobody_leaves_the_work_folder(rig: Rig):
    (rig.work / "link").symlink_to("/etc")
    for to in ("../..", "/etc", "~", "link", ".ssh", "no\u202ewhere"):
        assert "Now in" not in rig.ask(f"!br cd {to}")
    rig.ask("hello")
    assert rig.runs()[0]["cwd"] == str(rig.work)
    (rig.work / "link").unlink()


def test_a_folder_that_is_gone_is_said_and_the_top_is_one_command_away(rig: Rig):
    rig.ask("!br mkdir gone")
    rig.ask("!br cd gone")
    (rig.work / "gone").rmdir()
    assert "there is no folder gone" in plain(rig.ask("hello"))
    assert rig.ask("!br cd") == "Now in /"
    assert rig.ask("hello") == "heard: hello"


def test_a_folder_that_would_call_everyone_calls_nobody(rig: Rig):
    (rig.work / "@everyone").mkdir()
    assert "@everyone" not in rig.ask("!br ls") or rig.signal
    if rig.discord:
        assert rig.discord.sent[-1].fields["allowed_mentions"] == {"parse": []}


def test_the_review_mode_is_shown_and_set_for_the_daemon(rig: Rig):
    assert rig.ask("!br review local") == "Reviews: local"
    assert rig.daemon.get("/api/review-config")["forced_mode"] == "local"
    assert rig.ask("!br review auto") == "Reviews: auto"
    assert rig.ask("!br review") == "Reviews: auto"


def test_status_tells_what_runs_and_what_waits(rig: Rig):
    rig.say("hang")
    rig.until_runs(1)
    rig.ask("more")
    said = rig.ask("!br status")
    assert "running: using read" in said
    assert "waiting: 1" in said
    assert "cloud" in said
    assert rig.ask("!br reset") == "Forgotten. 2 unanswered."


def test_help_comes_in_one_message_for_both_spellings(rig: Rig):
    assert rig.ask("!br help") == rig.ask("!br ?")


def test_without_the_daemon_a_chat_says_so_and_goes_on(stage: Stage):
    class Nowhere:
        base_url = stage.daemon.base_url
        socket_path = stage.daemon.home / "nowhere.sock"

    with Rig("signal", Nowhere()) as rig:  # type: ignore[arg-type]
        assert "does not answer" in rig.ask("!br list")
        assert "does not answer" in rig.ask("!br status")
        assert "does not answer" in rig.ask("!br review")
        assert "cannot look that model up" in rig.ask("!br qwen-coder")
        assert rig.ask("!br local") == "This channel now asks: local"
        assert rig.ask("hello") == "heard: hello"


def test_the_list_may_come_from_a_llama_swap(stage: Stage):
    with (
        SimLlamaSwap(models=[{"id": "other-1b"}]) as swap,
        Rig("signal", stage.daemon, llama_swap_url=swap.url) as rig,
    ):
        assert "- other-1b" in rig.ask("!br list").splitlines()


def test_without_omp_the_chat_says_what_to_set(stage: Stage):
    with Rig("signal", stage.daemon, omp_path="no-such-omp") as rig:
        assert "set bridge.omp_path" in rig.ask("hello")
        assert "bridge.omp_path" in rig.status()["last_error"]
