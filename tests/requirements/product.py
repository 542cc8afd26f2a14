"""What the product says of itself: names that users know, and what happens behind them."""

from __future__ import annotations

from tests.requirements import held, waiting

ROUTING = (
    held(
        "route.endpoint",
        "one endpoint for every harness, in three protocols",
        "conformance/conformance",
        "contract/openai_sdk",
        "clients/clients",
    ),
    held(
        "route.auto",
        "`auto` is decided for each request",
        "policy/model_name",
        "flows/routes_of_a_request:a_name_leads",
    ),
    held(
        "route.local",
        "`local` goes to llama-swap with a lean prompt",
        "flows/routes_of_a_request:a_heavy_system_prompt",
        "policy/lean_turn",
    ),
    held(
        "route.cloud",
        "`cloud` goes to Manifest as it came",
        "flows/routes_of_a_request:the_cloud_gets",
        "policy/outgoing",
    ),
    held("route.key", "a llama-swap model's key is that local model", "policy/model_name:a_llama_swap_key"),
    held(
        "route.deadline",
        "the decision is late for nobody: 200 ms, then the cloud",
        "adapters/classifier:a_deadline",
        "row:K2",
    ),
    held("route.trouble", "trouble of the classifier means cloud", "row:K1", "row:K3", "row:K4", "row:K6"),
    held(
        "route.session",
        "a conversation stays where it began; a tool loop is never split",
        "brain/session",
        "brain/sessions_corpus",
        "flows/escalation:a_tool_loop",
    ),
    held(
        "route.explained",
        "where a request went and why is on the answer and in the event",
        "flows/routes_of_a_request:the_real_model",
        "contract/openai_sdk:the_decision",
    ),
    held("route.dry", "POST /api/decide says it without sending", "edge/views:a_decision_can_be_asked_for"),
    held(
        "route.escalate",
        "evidence of a local model's failure moves the session to the cloud",
        "flows/escalation",
        "brain/evidence",
    ),
    held(
        "route.tools",
        "eval, calibrate and replay judge and tune the decision on one's own past",
        "flows/quality_commands",
        "flows/calibrate",
    ),
    held(
        "route.project",
        "a project's .brainrouter.yaml may only tighten",
        "flows/project_rules",
        "brain/project_rules",
    ),
    held(
        "route.overruled",
        "a person overrules the decision for a conversation from the dashboard",
        "flows/conversation_route",
    ),
    held(
        "route.mended",
        "a tool call that a local model wrote as text becomes a call where that is beyond doubt",
        "flows/mended_calls",
        "wire/tool_text",
    ),
    held(
        "route.window",
        "the local window comes from capabilities, the command, or the running server",
        "flows/windows",
        "wire/llama_swap",
    ),
    waiting("route.quality", "the aims for the quality of the decision are reached", "4", "brain/quality"),
)

FAILURE = (
    held(
        "fail.fallback",
        "a failed cloud is answered for by llama-swap's fallback model, before the first byte only",
        "flows/fallback",
        "row:U1",
        "row:U2",
        "row:U16",
    ),
    held(
        "fail.breaker",
        "three failures open the breaker for 60 s, then one probe",
        "policy/breaker",
        "flows/fallback:three_failures",
        "row:U21",
    ),
    held(
        "fail.stall",
        "a silent upstream is given up: 60 s cloud, 180 s local, 180 s between events",
        "config:without_any_file",
        "row:U2",
        "row:U4",
    ),
    held(
        "fail.honest",
        "a stream that broke never looks complete",
        "flows/streams_that_break",
        "row:U5",
        "row:U6",
    ),
    held(
        "fail.disguised",
        "failures that look like answers are found before the first byte",
        "policy/stream_failure",
        "row:U3",
        "row:U11",
    ),
    held(
        "fail.words",
        "errors, overflow and limits are told in the caller's own protocol",
        "policy/error_reply",
        "row:U12",
        "row:U14",
        "row:U15",
    ),
    held(
        "fail.left",
        "a client that leaves frees the upstream within a second",
        "flows/streams_that_break:a_client_that_leaves",
        "row:C1",
        "row:C2",
        "row:C3",
    ),
)

REVIEW = (
    held("review.loop", "ask, revise, ask again, up to five rounds, then a person", "flows/review_loop"),
    held(
        "review.tools",
        "MCP: request_review, get_session_list, get_session_details, resolve_session",
        "edge/mcp",
    ),
    held(
        "review.material",
        "the PRD, the change with untracked files, AGENTS.md and the summary are read",
        "flows/review_loop:the_projects_documents",
        "adapters/work_folder:the_projects_documents",
        "adapters/git",
    ),
    held(
        "review.statuses",
        "pending, approved, needs_revision, escalated, and nothing else",
        "flows/review_shapes",
    ),
    held(
        "review.mode",
        "auto, cloud or local, with a model; kept over restarts",
        "flows/review_loop:the_mode",
        "flows/review_survives:settings",
    ),
    held("review.kept", "what was acknowledged survives a kill", "flows/review_survives", "row:S1"),
    held(
        "review.people",
        "a person resolves, continues or approves on the page",
        "flows/review_loop:a_person",
        "e2e/dashboard:an_escalated_review",
    ),
    held("review.strict", "material cannot approve itself", "policy/review_attacks", "row:A12"),
    held("review.real", "Claude Code and Codex go from needs_revision to approved", "clients/review"),
)

DASHBOARD = (
    held(
        "page.live",
        "the latest request is followed on its way",
        "e2e/dashboard:a_request_is_followed",
        "flows/live_events",
    ),
    held(
        "page.feed",
        "identical requests within 30 s and the rounds of a review are one row",
        "e2e/dashboard:identical",
        "e2e/dashboard:the_rounds",
    ),
    held(
        "page.versions",
        "installed and newest versions are shown, and upgrades offered",
        "flows/operations",
        "e2e/dashboard:an_upgrade",
    ),
    held(
        "page.restart",
        "restart buttons for llama-swap, llama.cpp, Manifest, brainrouter",
        "flows/operations:a_service_is_restarted",
        "e2e/dashboard:a_service",
    ),
    held("page.reviews", "sessions are listed, read and resolved", "e2e/dashboard:an_escalated"),
    held("page.settings", "review mode and model are changed on the page", "e2e/dashboard:review_settings"),
    held("page.hostile", "text of others stays text", "e2e/hostile_text", "row:A7"),
)

HARNESSES = (
    held(
        "install.seven",
        "omp, claude, vibe, opencode, codex, droid, pi: install, loop, uninstall byte for byte",
        "clients/clients",
        "harness/set_up",
    ),
    held(
        "install.asks",
        "the difference is shown and agreed to before anything is written",
        "edge/harness_commands",
    ),
    held(
        "install.run",
        "run and status write nothing",
        "clients/clients:a_client_is_run_once",
        "edge/harness_commands:status",
    ),
    held("install.examples", "configs/harness are what install writes", "harness/examples"),
    held("doctor", "planted faults are found, each with its mend", "flows/doctor"),
)

BRIDGES = (
    held(
        "bridge.commands",
        "ping, reset, status, modes, models, list, ls, cd, mkdir, review, help on both platforms",
        "bridge/commands",
        "bridge/grammar",
    ),
    held(
        "bridge.state", "sessions, models and folders in six files, over restarts and kills", "bridge/state"
    ),
    held(
        "bridge.memory",
        "one write waits for each file, however many people write; what is remembered of them has an end",
        "bridge/state:however_many",
        "bridge/state:no_more_than",
        "bridge/access:those_who_are_silent",
    ),
    held("bridge.chunks", "parts of 1500 and 4000 that break no fence", "bridge/chunk"),
    held(
        "bridge.deny",
        "nobody is answered who is not on a list",
        "bridge/settings",
        "bridge/conversation:strangers",
        "row:A25",
    ),
    held(
        "bridge.safe",
        "omp gets text on stdin, a template of options, one folder, no keys",
        "bridge/conversation:the_text_goes",
        "bridge/workspace",
        "row:A25",
    ),
    held("bridge.status", "/api/bridge-status says how they are", "bridge/in_the_daemon"),
    held("bridge.real", "the real omp, from a fake Discord to a real local model and back", "clients/bridge"),
    held(
        "bridge.once",
        "an answer is sent again only where signal-cli had not read it",
        "bridge/signal:an_answer_that",
    ),
    waiting(
        "bridge.platforms",
        "tried against the real Discord and a registered Signal account",
        "8",
        "clients/signal_cli",
    ),
)

ROWS = (*ROUTING, *FAILURE, *REVIEW, *DASHBOARD, *HARNESSES, *BRIDGES)
