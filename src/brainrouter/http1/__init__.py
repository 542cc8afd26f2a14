"""A thin, strict HTTP/1.1 server and upstream client on asyncio protocols and httptools. Knows nothing of LLMs."""
