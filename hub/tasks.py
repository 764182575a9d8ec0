"""What Celery runs for the hub side; all of it may run twice, at once or never."""

from __future__ import annotations

from celery import shared_task

from hub import clientinfo, known_objects, tidying


@shared_task(ignore_result=True)
def publish_client_infos() -> None:
    """Tell everybody of whose status has changed; each second (HCI-11)."""
    clientinfo.publish()


@shared_task(ignore_result=True)
def forget_client_info_changes() -> None:
    """Remove the oldest of their history; each hour."""
    clientinfo.forget_old()


@shared_task(ignore_result=True)
def tidy() -> None:
    """Remove what the hub keeps for a while only; every ten minutes."""
    tidying.forget_sessions()
    tidying.forget_callbacks()
    known_objects.forget_old()
