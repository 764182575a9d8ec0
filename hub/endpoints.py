"""What the hub serves: every functional module, both interfaces, all to one view; and the URLs it hands out."""

from __future__ import annotations

from hub.callbacks import PATH
from hub.clientinfo_views import ClientInfoSender
from hub.views import CallbackView, RouteView
from ocpi.endpoints import Serve
from ocpi.enums import FUNCTIONAL_MODULES, InterfaceRole, ModuleID
from ocpi.views import OcpiView

_TAILS = ("", "{a}", "{a}/{b}", "{a}/{b}/{c}", "{a}/{b}/{c}/{d}", "{a}/{b}/{c}/{d}/{e}")
_KEPT_IF = ((ModuleID.sessions, InterfaceRole.SENDER), (ModuleID.cdrs, InterfaceRole.SENDER))


def _serve(module: ModuleID, role: InterfaceRole) -> Serve:
    view = type(f"Route{module.title()}{role.title()}", (RouteView,), {"module": module, "interface": role})
    # A list of what is not kept is offered to nobody (HUB-63); a CPO's own is still reached by its party's name.
    listed_if = "OCPI_HUB_KEEPS_SESSIONS" if (module, role) in _KEPT_IF else ""
    return Serve(module, role, f"hub/2.2.1/{role.lower()}/{module}", dict.fromkeys(_TAILS, view), listed_if)


ENDPOINTS: list[Serve] = [_serve(module, role) for module in FUNCTIONAL_MODULES for role in InterfaceRole]
ENDPOINTS.append(
    Serve(ModuleID.hubclientinfo, InterfaceRole.SENDER, "hub/2.2.1/sender/hubclientinfo", {"": ClientInfoSender})
)
# URLs that stand for a partner's; in no version details.
UNLISTED: list[tuple[str, type[OcpiView]]] = [(f"{PATH}/{{key}}", CallbackView)]
