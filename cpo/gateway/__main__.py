"""Run one gateway node until SIGTERM: `python -m cpo.gateway`. Loads Django's settings, not its apps."""

import argparse
import asyncio
import gc
import logging
import logging.config
import os
import resource
import signal
import threading

import uvloop
from django.conf import settings

from cpo.gateway import config, ending
from cpo.gateway.server import Gateway

_STOP_SECONDS = 10.0


async def serve(chosen: config.Config) -> None:
    """Serve until told to stop; drain on the first signal, go at once on the second."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    gateway = Gateway(chosen)
    await gateway.start()
    _collect_seldom()
    await stop.wait()
    waits = [asyncio.create_task(gateway.drain()), asyncio.create_task(hurry.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    # Each step of the stop has its limit. Should something hang all the same, now or while the loop closes, it must not
    # keep the process: all that was answered is committed (OCPP-98).
    watchdog = threading.Timer(_STOP_SECONDS, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()
    await gateway.stop()
    # The loop would wait for these without a limit.
    await ending.cancel(asyncio.all_tasks() - {asyncio.current_task()}, 0.5)


def _collect_seldom() -> None:
    """Have the garbage collector look at what is new now and then, and never again at what is there already.

    Next to nothing here refers to itself, and what does goes with its connection. At Python's own pace, a look at every
    seven hundred new objects, close to half of the time goes into it when many charge points come or go at once, and
    all of them wait meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="ocpp_gateway", description="The OCPP gateway charge points connect to.")
    parser.add_argument("--host", help="address to listen on (every one)")
    parser.add_argument("--port", type=int, help="port to listen on (OCPP_GATEWAY_PORT)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    logging.config.dictConfig(settings.LOGGING)
    for noisy in ("websockets", "psycopg.pool"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a descriptor for each charge point
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config.read(host=options.host, port=options.port)))


if __name__ == "__main__":
    main()
