"""What an agent is told about reviews: a block for its AGENTS.md or CLAUDE.md."""

from __future__ import annotations

from brainrouter.harness.block_edit import Block

BEGIN = "<!-- brainrouter: review workflow, begin -->"
END = "<!-- brainrouter: review workflow, end -->"


def review_block(tool: str) -> Block:
    """The instructions, with the tool's name as this harness gives it to the model."""
    body = f"""
## Review before you finish

When you have changed code and believe the task is done, ask for a review with the tool `{tool}`:

- `taskId`: one id for the task, the same in every round, such as `feature-20260424-001`
- `summary`: two or three sentences on what changed, why, and what you assumed
- `cwd`: the absolute path of the project
- `details`: optional; what a reviewer could not see in the diff

If the status is `needs_revision`, fix what the feedback names and ask again with the same `taskId`. Go on until it is
`approved`. If it is `escalated`, stop and tell the user that a person has to decide. The task is not done before that.
"""
    return Block(BEGIN, END, body)
