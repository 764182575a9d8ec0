"""One socket on which every wait ends with a deadline.

It is non-blocking, and a wait is a `poll` for what is left of the time, so that an answer which drips is cut off just
like one that never starts.
"""

import os
import select
import socket
import ssl
import time
from functools import lru_cache

from ocpi.http_answer import AnswerReader

# More than a TLS record holds, so nothing stays behind in the TLS layer where `poll` would not see it.
_RECEIVE = 64 * 1024


def tls_context(authorities_pem: str = "", certificate_file: str = "") -> ssl.SSLContext:
    """Return how we check a server, by a platform's own authorities if given, and our certificate if it wants one.

    There is no way to leave the check out (SEC-31). A renewed certificate file is read again.

    :raises OSError: if there is no such file, or it or the authorities are no certificates (ssl.SSLError).
    """
    return _tls_context(authorities_pem, certificate_file, changed_at(certificate_file))


def changed_at(certificate_file: str) -> int:
    """Return when a certificate file was written, in nanoseconds; 0 for none.

    :raises OSError: if there is no such file.
    """
    return os.stat(certificate_file).st_mtime_ns if certificate_file else 0


@lru_cache(maxsize=256)
def _tls_context(authorities_pem: str, certificate_file: str, _changed: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authorities_pem or None)
    # Python lets OpenSSL 3 take a cut connection for the end of the body; to us it is an error.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.set_alpn_protocols(["http/1.1"])
    if certificate_file:
        context.load_cert_chain(certificate_file)
    return context


class Connection:
    """One socket, used by one thread at a time."""

    __slots__ = ("_poller", "_sock", "idle_since", "reader", "reused")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)
        self.reader = AnswerReader()
        self.reused = False
        self.idle_since = 0.0

    def close(self) -> None:
        self._sock.close()
        self.reader.forget()

    def is_quiet(self) -> bool:
        """Tell whether a kept connection is usable: anything readable is its end, or nothing we asked for."""
        return not self._poller.poll(0)

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Shake hands; the certificate is checked for the name, though we are connected to an address."""
        self._poller.unregister(self._sock)
        # Ragged ends are errors: a body that ends with the connection could be cut short by anybody in between.
        tls = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._sock = tls
        self._poller.register(tls, select.POLLIN)
        while True:
            try:
                return tls.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)

    def send(self, octets: bytes, deadline: float) -> int:
        """Send all of it, or as much as the other side takes before it closes; return how much that was."""
        sent = 0
        while sent < len(octets):
            try:
                sent += self._sock.send(memoryview(octets)[sent:] if sent else octets)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, deadline)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except OSError:
                break
        return sent

    def receive(self, deadline: float) -> bytes:
        """Return what has come, waiting for it if need be; nothing means that the other side closed."""
        self._wait(select.POLLIN, deadline)
        while True:
            try:
                return self._sock.recv(_RECEIVE)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)

    def _wait(self, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if event != select.POLLIN:
            self._poller.modify(self._sock, event)
        try:
            if left <= 0 or not self._poller.poll(left * 1000):
                raise TimeoutError("the time limit is over")
        finally:
            if event != select.POLLIN:
                self._poller.modify(self._sock, select.POLLIN)
