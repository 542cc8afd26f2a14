"""The four tools: their schemas, and what each asks of the daemon."""

from __future__ import annotations

from typing import Any

from brainrouter.edge.mcp.daemon import SESSION_ID, Daemon, Progress, ToolError

INSTRUCTIONS = """\
Code review on the user's own hardware. When a task is done, call request_review with a taskId of your choice, a
summary of two or three sentences and cwd, the absolute path of the project. If the answer's status is needs_revision,
change the code as its feedback says and call request_review again with the same taskId, until it is approved. If it
is escalated, stop and give the user the address in the answer.
"""


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _schema(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_SESSION = _text("The session's id, as request_review and get_session_list show it.")

TOOLS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "request_review": (
        "Have the finished work reviewed: starts a review of the uncommitted changes of a project, or continues the "
        "one with the same taskId after you changed the code. Takes as long as the reviewing model, often minutes. "
        "The answer's status is approved, needs_revision (act on the feedback, then call again) or escalated (a person "
        "must decide: tell the user).",
        False,
        _schema(
            ["taskId", "summary"],
            taskId=_text("Names the task, the same in every round, for example feature-20260424-001."),
            summary=_text("Two or three sentences: what changed, why, what was assumed."),
            details=_text("More that a reviewer should know: files, decisions, security."),
            conversationHistory={
                "type": "array",
                "items": {"type": "string"},
                "description": "What was said lately about this task, oldest first.",
            },
            cwd=_text(
                "Absolute path of the project. Without it, the folder in which this server was started."
            ),
        ),
    ),
    "get_session_list": ("List all review sessions, the latest first.", True, _schema([])),
    "get_session_details": (
        "Everything about one review session: its rounds, findings and what was said.",
        True,
        _schema(["sessionId"], sessionId=_SESSION),
    ),
    "resolve_session": (
        "Pass on a person's decision about a review. Only call this with the user's own words: exactly lgtm, ok or "
        "approved approves; any other text asks for changes.",
        False,
        _schema(["sessionId", "feedback"], sessionId=_SESSION, feedback=_text("What the user said.")),
    ),
}


async def call(
    daemon: Daemon, name: str, given: dict[str, Any], harness: str | None, progress: Progress
) -> Any:
    """Run one tool. Raises ToolError for everything that goes wrong."""
    known = TOOLS.get(name)
    if known is None:
        raise ToolError(f"there is no tool {name[:100]!r}; there are {', '.join(TOOLS)}")
    schema = known[2]
    for field in schema["required"]:
        if field not in given:
            raise ToolError(f"{field}: this argument is required")
    for field in given:
        if field not in schema["properties"]:
            raise ToolError(
                f"{field[:100]}: {name} has no such argument; it takes {', '.join(schema['properties'])}"
            )
    match name:
        case "request_review":
            return await daemon.review(given, harness, progress)
        case "get_session_list":
            return await daemon.get("/review/api/sessions?limit=100")
        case "get_session_details":
            return await daemon.get(f"/review/api/sessions/{_id(given)}")
        case _:
            return await daemon.post(
                "/review/api/resolve", {"sessionId": _id(given), "feedback": given["feedback"]}
            )


def _id(given: dict[str, Any]) -> str:
    found = given["sessionId"]
    if not isinstance(found, str) or not SESSION_ID.fullmatch(found):
        raise ToolError("sessionId: expected a UUID as get_session_list shows it")
    return found
