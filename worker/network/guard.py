"""The guard: which addresses webhooks may go to. Pure rules; `worker/http/connection.py` and `addresses.py` apply them.

Whoever can write a webhook's URL, or answer for its name, must not reach what only this machine can reach. For IPv6 the
list says what is public, because most of that space is unused and new special blocks appear in it.

Source: the IANA registries of special-purpose addresses, of multicast and of IPv6 unicast (RFC 6890), and what the
vendors of clouds say of their metadata services.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol, Self
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network


class Rule(StrEnum):
    """Why an address is refused."""

    SCHEME = "scheme"
    """http:// without `allow_insecure`."""
    PORT = "port"
    """A port that is neither the usual one nor in `allow_ports`."""
    METADATA = "metadata"
    """A service that gives a machine in a cloud its credentials."""
    UNSPECIFIED = "unspecified"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    UNIQUE_LOCAL = "unique-local"
    LINK_LOCAL = "link-local"
    SITE_LOCAL = "site-local"
    SHARED = "shared"
    MULTICAST = "multicast"
    DOCUMENTATION = "documentation"
    BENCHMARK = "benchmark"
    MAPPED = "mapped"
    """An IPv4 address in an IPv6 one, in one of two old forms."""
    TRANSLATED = "translated"
    """An IPv4 address behind a translator (NAT64, SIIT)."""
    SIX_TO_FOUR = "6to4"
    TEREDO = "teredo"
    SCOPED = "scoped"
    """An address with a zone, which is valid on one link only."""
    RESERVED = "reserved"
    """Any other address that is not public."""

    @property
    def remedy(self) -> str:
        """What an operator may do about it."""
        return _REMEDIES.get(self, _OTHER_REMEDY)


_REMEDIES = {
    Rule.SCHEME: "use https://, or set allow_insecure = true in that webhook",
    Rule.PORT: "use port 443, or name the port in that webhook's allow_ports",
}
_OTHER_REMEDY = "use a public address, or name its network in that webhook's allow_networks"


_BLOCKS: dict[Rule, str] = {
    Rule.METADATA: "169.254.169.254 169.254.169.253 169.254.170.2 169.254.170.23 169.254.42.42 168.63.129.16 "
    "100.100.100.200 192.0.0.192 fd00:ec2::254 fd00:ec2::253 fd00:ec2::23 fd20:ce::254 fd00:42::42 fd00:c1::a9fe:a9fe",
    Rule.UNSPECIFIED: "0.0.0.0/8 ::",
    Rule.LOOPBACK: "127.0.0.0/8 ::1",
    Rule.PRIVATE: "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    Rule.UNIQUE_LOCAL: "fc00::/7",
    Rule.LINK_LOCAL: "169.254.0.0/16 fe80::/10",
    Rule.SITE_LOCAL: "fec0::/10",
    Rule.SHARED: "100.64.0.0/10",
    Rule.MULTICAST: "224.0.0.0/4 ff00::/8",
    Rule.DOCUMENTATION: "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    Rule.BENCHMARK: "198.18.0.0/15 2001:2::/48",
    Rule.MAPPED: "::ffff:0:0/96 ::/96",
    Rule.TRANSLATED: "64:ff9b::/96 64:ff9b:1::/48 ::ffff:0:0:0/96",
    Rule.SIX_TO_FOUR: "192.88.99.0/24 2002::/16",
    Rule.TEREDO: "2001::/32",
    Rule.RESERVED: "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 240.0.0.0/4 2001::/23 "
    "2620:4f:8000::/48 3ffe::/16",
}
"""In the order in which they are tried."""
_RULES: list[tuple[Network, Rule]] = [
    (ip_network(block), rule) for rule, blocks in _BLOCKS.items() for block in blocks.split()
]
_PUBLIC_IPV6 = IPv6Network("2000::/3")

_USUAL_PORTS = {"https": (443,), "http": (80, 443)}


class GuardRefused(Exception):
    """The address is not allowed, and nothing was sent."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(f"the guard refuses the address: {rule}")
        self.rule = rule


class Allowing(Protocol):
    """What an endpoint allows beyond the rules, see `worker.core.endpoints.Endpoint`."""

    @property
    def allow_insecure(self) -> bool: ...

    @property
    def allow_ports(self) -> tuple[int, ...]: ...

    @property
    def allow_networks(self) -> tuple[Network, ...]: ...


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules with the exceptions of one endpoint. Two that allow the same are equal."""

    insecure: bool = False
    ports: Collection[int] = ()
    networks: Collection[Network] = ()

    @classmethod
    def of(cls, endpoint: Allowing) -> Self:
        return cls(endpoint.allow_insecure, endpoint.allow_ports, endpoint.allow_networks)

    def check(self, scheme: str, port: int) -> None:
        """Raise GuardRefused if requests of `scheme`, or to `port`, are not allowed, whatever the address is."""
        if scheme != "https" and not self.insecure:
            raise GuardRefused(Rule.SCHEME)
        usual = _USUAL_PORTS["http" if self.insecure else "https"]
        if port not in (*usual, *self.ports):
            raise GuardRefused(Rule.PORT)

    def check_url(self, url: str) -> None:
        """Raise GuardRefused as `check` does, for an address of the accounts file."""
        parts = urlsplit(url)
        self.check(parts.scheme, parts.port or _USUAL_PORTS[parts.scheme][0])

    def rule_against(self, text: str) -> Rule | None:
        """Return the rule that refuses the address `text`, or None if it is allowed. Raises ValueError for a name."""
        address = ip_address(text)
        if any(address in network for network in self.networks):
            return None
        return _public_rule(address)


def _public_rule(address: IPv4Address | IPv6Address) -> Rule | None:
    """Return the rule that refuses `address` where no exception is made."""
    rule = next((rule for network, rule in _RULES if address in network), None)
    if rule is not None or isinstance(address, IPv4Address):
        return rule
    if address.scope_id is not None:
        return Rule.SCOPED
    return None if address in _PUBLIC_IPV6 else Rule.RESERVED
