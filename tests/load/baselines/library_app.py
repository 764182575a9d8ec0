"""The application that a user of elumobility/ocpi-python would write to keep everything in memory, for BENCH-11.

Started by path under another interpreter, so that `ocpi` is that library: `python library_app.py PORT DATA.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn

from ocpi import get_application
from ocpi.core.authentication.authenticator import Authenticator
from ocpi.core.crud import Crud
from ocpi.core.enums import ModuleID, RoleEnum
from ocpi.modules.versions.enums import VersionNumber

PORT, DATA = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
LOCATIONS: dict[str, Any] = {each["id"]: each for each in DATA["locations"]}
LISTED: list[Any] = list(LOCATIONS.values())
TOKENS: dict[str, Any] = {each["uid"]: each for each in DATA["tokens"]}


class Memory(Crud):
    """Objects in dictionaries."""

    @classmethod
    async def get(cls, module: ModuleID, role: RoleEnum, id: str, *args: Any, **kwargs: Any) -> Any:
        return (TOKENS if module == ModuleID.tokens else LOCATIONS).get(id)

    @classmethod
    async def list(cls, module: ModuleID, role: RoleEnum, filters: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        start, end = filters["offset"], filters["offset"] + filters["limit"]
        return LISTED[start:end], len(LISTED), end >= len(LISTED)

    @classmethod
    async def create(cls, module: ModuleID, role: RoleEnum, data: Any, *args: Any, **kwargs: Any) -> Any:
        LOCATIONS[data["id"]] = data
        return data

    @classmethod
    async def update(cls, module: ModuleID, role: RoleEnum, data: Any, id: str, *args: Any, **kwargs: Any) -> Any:
        LOCATIONS[id] = data
        return data

    @classmethod
    async def delete(cls, module: ModuleID, role: RoleEnum, id: str, *args: Any, **kwargs: Any) -> None:
        LOCATIONS.pop(id, None)

    @classmethod
    async def do(
        cls, module: ModuleID, role: RoleEnum, action: Any, *args: Any, data: Any = None, **kwargs: Any
    ) -> Any:
        found = {"allowed": "ALLOWED", "token": TOKENS[data["token_uid"]]}
        return found | dict.fromkeys(("location", "authorization_reference", "info"))


class Known(Authenticator):
    """The same tokens as the other side of the comparison."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        found: list[str] = DATA["shown"]
        return found

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        return []


app = get_application(
    version_numbers=[VersionNumber.v_2_2_1],
    roles=[RoleEnum.cpo, RoleEnum.emsp],
    crud=Memory,
    modules=[ModuleID.locations, ModuleID.tokens],
    authenticator=Known,
)

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=PORT, access_log=False, log_level="warning", loop="uvloop", http="httptools"
    )
