"""URLs that lead to an address we must not call, in every spelling that some resolver or library understands."""

from __future__ import annotations

import socket
from typing import Any

HOME = "127.66.0.1"  # the one network that is allowed, and where the partner of the figure lives
HOME_NETWORK = "127.66.0.0/24"

# What names lead to: the first answer, the second, and so on; the last one stays. "public" must never be dialled here.
NAMES: dict[str, list[list[str]]] = {
    "localhost": [["127.0.0.1"]],
    "localhost.": [["127.0.0.1"]],
    "localhost.localdomain": [["127.0.0.1"]],
    "127.0.0.1.nip.example": [["127.0.0.1"]],
    "inside.example": [["10.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "v6.example": [["::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "scoped.example": [["fe80::1%1"]],
    "both.example": [[HOME, "127.0.0.1"]],
    "both-v6.example": [[HOME, "::1"]],
    "rebinding.example": [[HOME], ["127.0.0.1"]],
    "rebinding-late.example": [[HOME], [HOME], ["127.0.0.1"]],
    "unspecified.example": [["0.0.0.0"]],  # noqa: S104 - an address to be refused
}


def forms(port: int, home_port: int) -> list[str]:
    """Return the forms; `port` is where a canary listens on all of loopback, `home_port` where the partner does."""
    hosts = [
        # IPv4 as numbers of other bases and lengths
        "127.0.0.1", "2130706433", "0x7f000001", "0X7F000001", "017700000001", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1",
        "0177.0.0.1", "0177.0000.0000.0001", "127.1", "127.0.1", "127.000.000.001", "0", "0.0.0.0", "127.0.0.1.",  # noqa: S104
        "127.255.255.254", "127.66.1.1", "00000000127.0.0.1", "127.0.0.1e0", "+127.0.0.1", "4294967297", "0x17f000001",
        # IPv6 and what it hides
        "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:1::1]",
        "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%251]", "[fe80::1%1]", "[fec0::1]", "[fc00::1]", "[ff02::1]",
        "[100::1]", "[5f00::1]", "[3fff::1]", "[2001:db8::1]", "[::1", "::1", "[127.0.0.1]",
        # other nets
        "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.88.99.1",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
        # names
        *NAMES, "LOCALHOST", "LocalHost", "ip6-localhost", "a" * 64 + ".example", "a." * 130 + "example",
        # characters
        "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1\u00ad", "ⓛocalhost", "local\thost",
        "127.0.0.1\x00.example",
        "%31%32%37.0.0.1", "127.0.0.1%00.example", "127.0.0.1%2f.example", "127.0.0.1 ", " 127.0.0.1", "*", "_", "-",
    ]  # fmt: skip
    found = [f"http://{host}:{port}/x" for host in hosts]
    found += [f"https://{host}:{port}/x" for host in ("127.0.0.1", "[::1]", "localhost", "inside.example", "127.1")]
    good = f"{HOME}:{home_port}"
    found += [
        # user info, backslashes, missing and doubled slashes: readers disagree about where the host is
        f"http://{good}@127.0.0.1:{port}/x", f"http://{HOME}@127.0.0.1:{port}/x", f"http://a:b@127.0.0.1:{port}/x",
        f"http://127.0.0.1:{port}@{good}/x", f"http://{good}%40127.0.0.1:{port}/x", f"http://127.0.0.1:{port}#@{good}/",
        f"http://{good}\\@127.0.0.1:{port}/x", f"http://127.0.0.1:{port}\\@{good}/x", f"http:\\\\127.0.0.1:{port}\\x",
        f"http:/127.0.0.1:{port}/x", f"http:127.0.0.1:{port}/x", f"//127.0.0.1:{port}/x", f"///127.0.0.1:{port}/x",
        f"http:///127.0.0.1:{port}/x", f"http:////127.0.0.1:{port}/x", f"/\\127.0.0.1:{port}/x",
        f"http://{good};127.0.0.1:{port}/x", f"http://{good} 127.0.0.1:{port}/x", f"http://{good}\t@127.0.0.1:{port}/",
        f"http://{good}\r\nHost: 127.0.0.1:{port}", f"http://{good}\n@127.0.0.1:{port}/x", f"http://@127.0.0.1:{port}/",
        f"http://:@127.0.0.1:{port}/x", f"http://[{HOME}]@127.0.0.1:{port}/x", f"HTTP://127.0.0.1:{port}/x",
        f"hTTp://LOCALHOST:{port}/x", f" http://127.0.0.1:{port}/x", f"\x01http://127.0.0.1:{port}/x",
        f"http://127.0.0.1:{port}?@{good}", f"http://127.0.0.1:0{port}/x", f"http://127.0.0.1:{port}{port}/x",
        f"http://127.0.0.1:+{port}/x", "http://127.0.0.1:22/x", "http://127.0.0.1/x", "http://127.0.0.1:0/x",
        f"http://127.0.0.1:{port:x}/x", f"http://{HOME}:22/x", "https://127.0.0.1/x", "https://127.0.0.1:443/x",
        # other schemes
        f"gopher://127.0.0.1:{port}/_x", f"ftp://127.0.0.1:{port}/x", f"dict://127.0.0.1:{port}/x", "file:///etc/passwd",
        f"ldap://127.0.0.1:{port}/x", f"ws://127.0.0.1:{port}/x", f"unix:127.0.0.1:{port}", f"data:,127.0.0.1:{port}",
        f"javascript:127.0.0.1:{port}", f"url:http://127.0.0.1:{port}/x", f"http+unix://127.0.0.1:{port}/x", "", "x",
    ]  # fmt: skip
    return list(dict.fromkeys(found))


class Resolver:
    """Stands in for the name server, for the names above; it knows no others."""

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self._asked: dict[str, int] = {}

    def __call__(self, host: Any, port: Any, *more: Any, **options: Any) -> Any:
        name = (host.decode() if isinstance(host, bytes) else str(host)).lower()
        if name in NAMES:
            answers = NAMES[name]
            addresses = answers[min(self._asked.get(name, 0), len(answers) - 1)]
            self._asked[name] = self._asked.get(name, 0) + 1
            return [_info(address, int(port)) for address in addresses]
        # What the system reads as an address without asking anybody: "127.1" and the like.
        options["flags"] = socket.AI_NUMERICHOST
        try:
            return self._real(host, port, *more[:3], **options)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from error

    def forget(self) -> None:
        """Begin anew: the first answer of each name is the first again."""
        self._asked.clear()


def _info(address: str, port: int) -> Any:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 1 if "%" in address else 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)
