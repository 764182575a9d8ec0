"""The OCPP gateway: its own process, asyncio, knows sockets and frames, no OCPI."""
