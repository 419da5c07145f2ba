"""What to do about a server that cannot be used."""

from __future__ import annotations

from worker.errors import ConfigurationError
from worker.network.causes import Cause, cause_of

_MENDS = {
    Cause.PASSWORD: "correct the user name and password in {variable}, or the server's own",
    Cause.RIGHTS: "give this user the rights that docs/reference/settings.md names",
    Cause.PLACE: "name a database or virtual host in {variable} that is there and that this user may use",
    Cause.TLS: "compare the scheme of {variable}, the server's certificate and its host name",
    Cause.NAME: "correct the host in {variable}, or the machine's name service",
    Cause.REFUSED: "start that server, or correct {variable}",
    Cause.SLOW: "look at the server and at the firewall in front of it, or correct {variable}",
    Cause.OTHER: "look at the server's own log, or correct {variable}",
}


def remedy_of(problem: BaseException, variable: str) -> str:
    """For a server whose address is in `variable`."""
    if isinstance(problem, ConfigurationError):
        return f"correct {variable}, or what it names"
    return _MENDS[cause_of(problem)].format(variable=variable)
