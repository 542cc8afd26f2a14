"""The embedded backend behind the real llama-swap: `BRAINROUTER_LLAMA_SWAP=... pytest tests/adapters/real_llama_swap.py`.

Not part of the ordinary run, since no package registry that the tests may use serves llama-swap.
"""

from __future__ import annotations

import asyncio
import json

from tests.adapters.embedded_rig import (
    all_end,
    completion,
    descendants,
    handles_of,
    request,
    started,
    streamed,
)
from tests.llama_swap_binary import llama_swap_binary


def test_real_llama_swap_serves_the_embedded_model_and_ends_with_it():
    async def main():
        async with started(llama_swap=llama_swap_binary()) as watched:
            await watched.it.wait_ready(50)
            assert watched.it.status()["kind"] == "llama-swap+llama.cpp"
            assert await asyncio.to_thread(completion, watched.it)
            assert await asyncio.to_thread(streamed, watched.it)
            status, text = await asyncio.to_thread(request, watched.it, "/v1/models", None)
            (row,) = json.loads(text)["data"]
            assert (status, row["id"], row["context_length"]) == (200, watched.it.model, 8192)
            assert (await asyncio.to_thread(request, watched.it, "/v1/models", None, "wrong"))[0] == 401
            pid = watched.it.status()["pid"]
            left = handles_of([pid, *descendants(pid)])
        assert len(left) == 2
        assert all_end(left)

    asyncio.run(main())
