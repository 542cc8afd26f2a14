"""What holds for the whole: names that were fixed, the set-up, what it survives, how fast it is."""

from __future__ import annotations

from tests.requirements import held

NAMES = (
    held(
        "config.keys",
        "every key has a default; files merge key by key; mistakes name file, line and key",
        "config",
    ),
    held(
        "config.folder",
        "no file of the current folder configures the daemon",
        "edge/serve:a_repository_cannot",
        "config:a_relative_folder",
    ),
    held("config.exit", "a broken configuration ends the start with 78", "edge/serve:a_broken_configuration"),
    held(
        "config.reload",
        "changes are taken over while it runs; a bad file replaces nothing",
        "flows/reload",
        "row:S4",
    ),
    held("env.log", "BRAINROUTER_LOG, RUST_LOG as its alias, over --log-level", "adapters/logs:the_level"),
    held("env.run", "the socket lies where XDG_RUNTIME_DIR says", "adapters/listen:the_runtime_folder"),
    held(
        "env.manifest",
        "the key comes from the variable that manifest.api_key_env names; the placeholder is none",
        "config:no_key",
        "config:a_key_is_taken",
    ),
    held(
        "env.compose",
        "BRAINROUTER_MANIFEST_DIR says where Manifest's compose file is",
        "flows/operations:images_are_pulled",
    ),
    held("http.routes", "every route is there, and described in openapi.yaml", "edge/openapi"),
    held("http.health", "/health is 200 and `ok` while the daemon serves", "edge/views:health"),
    held("http.models", "/v1/models in OpenAI's shape, and in Anthropic's when asked", "edge/views:models"),
    held("http.metrics", "/metrics for Prometheus tells what is open, resting and lost", "row:S9", "row:S6"),
    held(
        "defaults",
        "9099, 3001, 8081, 200 ms, 600 s, five rounds",
        "config:without_any_file",
        "edge/serve:the_default_port",
    ),
)

SETUP = (
    held("setup.house", "layers, sizes, names, locks with hashes", "house"),
    held(
        "setup.embedded",
        "without configuration the embedded model answers",
        "adapters/embedded",
        "adapters/model_file",
        "clients/embedded",
    ),
    held(
        "setup.one",
        "one daemon a user; the second is refused by the first's pid",
        "edge/serve:a_second_daemon",
        "row:S7",
    ),
    held("setup.stop", "SIGTERM lets what runs finish", "edge/serve:sigterm", "row:S8"),
    held(
        "setup.bad",
        "bad input is a 4xx that names the field, never a 500",
        "edge/bad_input",
        "row:C10",
        "row:C11",
    ),
    held(
        "setup.deploy",
        "install.sh for a machine and its users: resumable, checked, taken back",
        "deploy/scripts",
        "deploy/shipped_files",
        "deploy/machine/a_shared_machine",
        "deploy/machine/interrupted",
        "deploy/machine/podman",
        "deploy/machine/dnf",
    ),
    held(
        "setup.packages", "wheel and source package install by pip and uv, and answer", "packages/installed"
    ),
)

PROTOCOLS = (
    held(
        "wire.native",
        "the cloud is spoken to in the caller's protocol, byte for byte",
        "policy/outgoing_dialects:the_cloud_gets",
        "conformance/conformance",
    ),
    held(
        "wire.translated",
        "messages and responses to chat and back, text, tools, images, thinking, usage",
        "wire/messages_to_chat",
        "wire/chat_to_messages",
        "wire/responses_to_chat",
        "wire/chat_to_responses",
    ),
    held("wire.count", "a count of tokens never starts a model", "flows/token_count"),
    held("wire.any", "any cutting into pieces gives the same", "row:U7", "row:U8"),
    held("wire.sessions", "a session is known by what each harness sends", "wire/identity"),
)

LEAN = (
    held(
        "lean.kept",
        "project instructions, environment and the user's words reach the local model",
        "policy/lean_turn",
        "policy/lean_prune",
    ),
    held("lean.stable", "fifty turns have one prefix", "policy/lean_turn:fifty_turns"),
    held(
        "lean.tools",
        "tools are slimmed, none is lost; rarely used ones may wait",
        "policy/lean_tools",
        "policy/lean_deferral",
        "flows/tool_rounds",
    ),
    held(
        "lean.fit",
        "a talk that is too long loses its oldest results first",
        "policy/lean_fit",
        "flows/window_fit",
    ),
    held(
        "lean.share",
        "where tools wait, four fifths of what a harness sends is spared, of the little that pi sends nearly half",
        "clients/waiting_tools",
        "policy/lean_words",
        "flows/lean_events",
    ),
)

SURVIVES = (
    held(
        "survive.upstream",
        "upstreams that fail, in every way of the catalogue",
        *(f"row:U{number}" for number in range(1, 23)),
    ),
    held("survive.client", "clients that misbehave", *(f"row:C{number}" for number in range(1, 15))),
    held("survive.classifier", "the classifier in trouble", *(f"row:K{number}" for number in range(1, 7))),
    held(
        "survive.system",
        "disk, database, clock, descriptors, starts and ends",
        *(f"row:S{number}" for number in range(1, 12)),
    ),
    held(
        "survive.attacks",
        "attacks from pages, users, repositories, upstreams, models, chats",
        *(f"row:A{number}" for number in range(1, 26)),
    ),
    held(
        "secrets",
        "keys are in no log, event, error, page, database or argv",
        "row:A14",
        "row:A13",
        "edge/serve:keys_are_nowhere",
        "adapters/logs:keys_are_masked",
    ),
    held(
        "pages",
        "no web page reads or changes anything",
        "row:A1",
        "row:A2",
        "row:A3",
        "row:A4",
        "row:A5",
        "edge/page",
        "policy/origin",
    ),
)

SPEED = (
    held("speed.bench", "what the proxy adds is measured beside others by one command", "bench"),
    held(
        "speed.bars", "the published run reached all figures that were promised", "bench:the_published_page"
    ),
)

ROWS = (*NAMES, *SETUP, *PROTOCOLS, *LEAN, *SURVIVES, *SPEED)
