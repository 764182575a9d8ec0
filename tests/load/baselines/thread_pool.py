"""A bare pool of 32 urllib3 threads that sends a PATCH to every port, so many times: nothing stored, nothing locked.

`python -m tests.load.baselines.thread_pool PORT …`: a number of changes per line in; when it began and ended out.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

THREADS = 32
_BODY = b'{"status":"CHARGING","last_updated":"2026-01-01T00:00:00Z"}'
_HEADERS = {
    "Authorization": "Token b3RoZXI=",
    "Content-Type": "application/json",
    "X-Request-ID": "2f2f6b0e-53b7-4bb4-8a20-6a4d1a1b6c11",
    "X-Correlation-ID": "9a3c2f40-2b1e-4c7f-8d50-0f6f1f1f7d22",
}


def main() -> None:
    """Answer until the input ends."""
    urls = [f"http://127.0.0.1:{port}/ocpi/receiver/locations/NL/TNM/LOC1/LOC1-0" for port in sys.argv[1:]]
    http = urllib3.PoolManager(num_pools=len(urls), maxsize=THREADS)

    def send(url: str) -> int:
        return http.request("PATCH", url, body=_BODY, headers=_HEADERS, retries=False, timeout=10).status

    print(json.dumps(len(urls)), flush=True)
    with ThreadPoolExecutor(THREADS) as pool:
        for line in sys.stdin:
            began = time.monotonic()
            list(pool.map(send, urls * int(line)))
            print(json.dumps({"began": began, "committed": began, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main()
