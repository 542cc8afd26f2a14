"""Discord's own ways: what it refuses, how its connection ends, who is in a channel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bridge.rig import CHANNEL, Rig
from tests.daemon import Stage, eventually
from tests.sim.discord import BOT, OTHER_CHANNEL, THREAD, TOKEN, Discord, pointed_at, snowflake


def sim(rig: Rig) -> Discord:
    assert rig.discord is not None
    return rig.discord


def test_only_the_intents_that_are_needed_are_asked_for(discord: Rig):
    guilds, guild_messages, direct_messages, message_content = 1 << 0, 1 << 9, 1 << 12, 1 << 15
    assert (
        sim(discord).identified[0]["intents"] == guilds | guild_messages | direct_messages | message_content
    )


def test_a_server_needs_person_and_channel_a_thread_counts_as_its_channel(discord: Rig):
    assert discord.ask("hello", place=CHANNEL) == "heard: hello"
    before = len(sim(discord).sent)
    discord.say("hello", place=OTHER_CHANNEL)
    discord.say("hello", place=CHANNEL, by="6666")
    discord.say("hello", place="5666", by="6666")
    discord.say("hello", place=THREAD)
    eventually(lambda: len(sim(discord).sent) > before)
    discord.settle()
    assert [(sent.channel, sent.text) for sent in sim(discord).sent[before:]] == [
        (THREAD, "heard: hello"),
        (discord.place, "pong"),
    ]


def test_the_bots_own_name_is_no_part_of_what_is_asked(discord: Rig):
    assert discord.ask(f"<@{BOT}> hello") == "heard: hello"
    assert discord.ask(f"<@!{BOT}>!br ping") == "pong"
    assert discord.ask(f"what says <@{BOT}> to <@77>?") == "heard: what says to <@77>?"
    assert discord.ask("hello <@77>") == "heard: hello <@77>"


def test_in_a_channel_that_is_not_listed_the_bot_answers_its_name_only_where_that_is_wished(
    discord: Rig, stage: Stage
):
    for asked in (f"<@{BOT}> hello", "hello"):
        discord.say(asked, place=OTHER_CHANNEL)
    discord.settle()
    assert [sent.channel for sent in sim(discord).sent] == [discord.place]
    with Rig("discord", stage.daemon, answer_mentions=True) as rig:
        assert rig.status()["detail"].endswith("in 1 channels, and where the bot is named")
        rig.say(f"<@{BOT}> hello", place=OTHER_CHANNEL, by="6666")
        rig.say("hello @everyone", place=OTHER_CHANNEL)
        rig.say(f"<@{BOT}> hello", place=OTHER_CHANNEL)
        eventually(
            lambda: [(sent.channel, sent.text) for sent in sim(rig).sent] == [(OTHER_CHANNEL, "heard: hello")]
        )
        rig.settle()
        assert len(sim(rig).sent) == 2


@pytest.mark.parametrize(
    "more",
    [{"author": {"id": "1001", "username": "b", "discriminator": "0", "avatar": None, "bot": True}},
     {"webhook_id": "77"}, {"type": 7}, {"id": snowflake(600)}],
    ids=["bot", "webhook", "join notice", "ten minutes old"],
)  # fmt: skip
def test_what_no_person_wrote_just_now_is_not_answered(discord: Rig, more: dict[str, object]):
    fields = {"id": snowflake(), **more}
    sim(discord).says("hello", user=discord.owner, channel=discord.place, **fields)  # type: ignore[arg-type]
    discord.settle()
    assert discord.texts() == ["pong"]


def test_nobody_is_mentioned_no_link_is_unfolded_and_no_repetition_is_shown(discord: Rig):
    assert discord.ask("say @everyone <@1> http://x.example") == "@everyone <@1> http://x.example"
    fields = sim(discord).sent[-1].fields
    assert fields["allowed_mentions"] == {"parse": []}
    assert fields["flags"] & 4
    assert fields["enforce_nonce"]


def test_a_busy_discord_is_waited_for(discord: Rig):
    sim(discord).faults += [(429, {"message": "slow down", "retry_after": 0.2, "global": False})] * 2
    assert discord.ask("hello") == "heard: hello"
    discord.settle()
    assert discord.texts() == ["heard: hello", "pong"]


def test_a_storm_of_refusals_and_a_broken_server_are_outlasted(discord: Rig):
    sim(discord).faults += [(429, {"message": "slow down", "retry_after": 0.02, "global": False})] * 8
    assert discord.ask("hello") == "heard: hello"
    sim(discord).faults.append((500, {"message": "500: Internal Server Error", "code": 0}))
    assert discord.ask("again") == "heard: again"
    discord.settle()
    assert discord.texts() == ["heard: hello", "heard: again", "pong"]


@pytest.mark.parametrize(("status", "code", "words"), [(403, 50001, "may not write"), (404, 10003, "gone")])
def test_a_channel_that_takes_nothing_is_reported_and_the_next_question_works(
    discord: Rig, status: int, code: int, words: str
):
    sim(discord).faults.append((status, {"message": "no", "code": code}))
    discord.say("hello")
    eventually(lambda: words in (discord.status()["last_error"] or ""))
    assert discord.ask("again") == "heard: again"


@pytest.mark.parametrize("how", ["reconnect", "resumable", "new session", "close"])
def test_every_way_of_losing_the_connection_comes_back(discord: Rig, how: str):
    resumed, identified = sim(discord).resumed, len(sim(discord).identified)
    if how == "close":
        sim(discord).close(4000)
    else:
        sim(discord).frame(*{"reconnect": (7, None), "resumable": (9, True), "new session": (9, False)}[how])
    if how == "new session":
        eventually(lambda: len(sim(discord).identified) > identified, 15.0)
    else:
        eventually(lambda: sim(discord).resumed > resumed, 15.0)
    eventually(lambda: discord.status()["state"] == "connected", 15.0)
    assert discord.ask("hello") == "heard: hello"


def test_messages_without_text_say_which_box_to_tick(discord: Rig):
    discord.say("", place=CHANNEL)
    eventually(lambda: "MESSAGE CONTENT INTENT" in (discord.status()["last_error"] or ""))
    assert discord.texts() == []


def failing(stage: Stage, **more: Any) -> str:
    """What a bridge says that cannot start."""
    rig = Rig("discord", stage.daemon, **more)
    refuse = more.get("close")
    with sim(rig) as discord:
        discord.refuse_identify = refuse if isinstance(refuse, int) else None
        with pointed_at(discord.port):
            rig.start(wait=False)
            try:
                said = rig.until_state("failed")
                assert TOKEN not in str(said)
                assert said["detail"] == said["last_error"]
                return said["detail"]
            finally:
                rig.stop()


def test_a_wrong_token_an_intent_that_is_off_and_an_empty_list_end_the_bridge_with_what_to_do(stage: Stage):
    assert "copy it anew" in failing(stage, token="wrong")
    assert "copy it anew" in failing(stage, close=4004)
    assert "tick MESSAGE CONTENT INTENT" in failing(stage, close=4014)
    assert "bridge.discord.token is not set" in failing(stage, token=None)
    assert "add your Discord user id to bridge.discord.allowed_users" in failing(stage, people=[])
    assert "cannot be entered" in failing(stage, work_dir="/nowhere/at/all")


def test_only_who_may_write_gets_more_than_reading_tools(discord: Rig):
    discord.ask("hello")
    assert "--tools=read,grep,glob" in discord.runs()[0]["argv"]
    discord.ask("hello", by=discord.crowd[-1])
    argv = discord.runs()[1]["argv"]
    assert "--approval-mode=write" in argv
    assert not [word for word in argv if word.startswith("--tools")]
    assert not {"--yolo", "--auto-approve"} & set(argv)


@pytest.mark.load
@pytest.mark.timeout(200)
def test_a_gateway_that_stops_answering_heartbeats_is_left_for_a_new_connection(stage: Stage):
    with Rig("discord", stage.daemon, heartbeat_ms=500) as rig:
        assert rig.ask("hello") == "heard: hello"
        sim(rig).acks = False
        eventually(lambda: sim(rig).resumed == 1, 150.0)  # discord.py allows a minute of silence
        sim(rig).acks = True
        assert rig.ask("again") == "heard: again"
