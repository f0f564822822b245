"""Last settings: what a lab serves now, so that it can be started again as it was."""

from collections.abc import Iterable, Mapping
from typing import Any

from fleetsim.lab.settings import (
    CredentialSettings,
    LabAddress,
    LabSettings,
    TlsSettings,
)


def after_command(
    settings: LabSettings, command: str, arguments: Mapping[str, Any]
) -> LabSettings:
    """Settings after a command that was carried out: what a restarted lab must know.

    Args:
        settings: Settings before.
        command: Its name.
        arguments: Its arguments, as they were sent.
    """
    match command:
        case "start_clock" if settings.clock is not None:
            clock = settings.clock.model_copy(update=dict(arguments))
            return settings.model_copy(update={"clock": clock})
        case "swap_front":
            tls = TlsSettings.model_validate(arguments["tls"])
            return settings.model_copy(
                update={
                    "fronts": tuple(
                        front.model_copy(update={"tls": tls})
                        if front.name == arguments["front"]
                        else front
                        for front in settings.fronts
                    )
                }
            )
        case "add_credentials":
            added = CredentialSettings.model_validate(arguments)
            return settings.model_copy(
                update={
                    "credentials": (
                        *_without(settings.credentials, added.access_key),
                        added,
                    )
                }
            )
        case "remove_credentials":
            left = _without(settings.credentials, arguments["access_key"])
            return settings.model_copy(update={"credentials": left})
        case _:
            return settings


def with_ports(settings: LabSettings, address: LabAddress) -> LabSettings:
    """Settings with the ports the kernel chose, so that a restart keeps them."""
    return settings.model_copy(
        update={
            "fronts": tuple(
                front.model_copy(update={"port": address.fronts[front.name][1]})
                for front in settings.fronts
            )
        }
    )


def _without(
    credentials: Iterable[CredentialSettings], access_key: str
) -> tuple[CredentialSettings, ...]:
    return tuple(each for each in credentials if each.access_key != access_key)
