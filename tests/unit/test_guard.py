"""The rules of the guard: which addresses webhooks may go to."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.endpoints import Endpoint
from worker.network.guard import Guard, GuardRefused, Rule

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
    "192.0.1.1", "192.167.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "11.0.0.1", "126.1.1.1",
    "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2400::1",
]  # fmt: skip

REFUSED: dict[Rule, str] = {
    Rule.METADATA: "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254",
    Rule.UNSPECIFIED: "0.0.0.0 0.1.2.3 0.255.255.255 ::",
    Rule.LOOPBACK: "127.0.0.1 127.255.255.254 ::1",
    Rule.PRIVATE: "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1",
    Rule.UNIQUE_LOCAL: "fc00::1 fd12:3456::1 fdff:ffff::1",
    Rule.LINK_LOCAL: "169.254.0.1 fe80::1 febf::1",
    Rule.SITE_LOCAL: "fec0::1 feff::1",
    Rule.SHARED: "100.64.0.1 100.127.255.255",
    Rule.MULTICAST: "224.0.0.1 239.255.255.255 ff02::1",
    Rule.DOCUMENTATION: "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1 3fff:fff::1",
    Rule.BENCHMARK: "198.18.0.1 198.19.255.255 2001:2::1",
    Rule.MAPPED: "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::2 ::127.0.0.1 ::8.8.8.8",
    Rule.TRANSLATED: "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 ::ffff:0:127.0.0.1",
    Rule.SIX_TO_FOUR: "192.88.99.1 2002:7f00:1::1",
    Rule.TEREDO: "2001::1 2001:0:ffff::1",
    Rule.SCOPED: "2606:4700::1%1",
    Rule.RESERVED: "192.0.0.1 192.0.0.8 192.0.0.170 240.0.0.1 255.255.255.255 192.31.196.1 192.175.48.1 192.52.193.1 "
    "100::1 100:0:0:1::1 5f00::1 2001:10::1 2001:20::1 2001:30::1 2001:1::1 2001:1ff::1 3ffe::1 2620:4f:8000::1 "
    "4000::1 e000::1 f000::1 fe00::1 1::1",
}  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_allowed(text: str) -> None:
    """Also the neighbours of special blocks."""
    assert Guard().rule_against(text) is None


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in REFUSED.items() for text in texts.split()]
)
def test_address_that_is_not_public_is_refused_with_its_rule(rule: Rule, text: str) -> None:
    """An operator is told which block it is in."""
    assert Guard().rule_against(text) is rule


def test_every_rule_is_tried() -> None:
    """The table above leaves out only the two rules that are not about an address."""
    assert {*REFUSED, Rule.SCHEME, Rule.PORT} == set(Rule)


@given(st.ip_addresses())
def test_guard_refuses_all_that_python_does_not_count_as_public(address: object) -> None:
    """The table of the standard library, made from the same registries, lets nothing less through."""
    known = ip_address(str(address))
    if Guard().rule_against(str(address)) is None:
        assert known.is_global and not known.is_multicast


@given(st.ip_addresses(v=4))
def test_ipv4_address_in_any_ipv6_form_is_refused(address: object) -> None:
    """Whether it is public or not: a machine that translates it is one of the operator's."""
    number = int(ip_address(str(address)))
    forms = [
        number,
        number | 0xFFFF << 32,
        number | 0xFFFF << 48,
        number | 0x64FF9B << 96,
        0x2002 << 112 | number << 80,
    ]
    assert all(Guard().rule_against(str(IPv6Address(form))) for form in forms)


@pytest.mark.parametrize(
    ("network", "text", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.2.3", False),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", False),
        ("::ffff:127.0.0.0/104", "::ffff:127.0.0.1", True),
        ("fd00:1::/64", "fd00:1::7", True),
        ("fd00:1::/64", "fd00:2::7", False),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("fe80::/10", "fe80::1%2", True),
        ("8.8.8.8/32", "1.1.1.1", True),
        ("0.0.0.0/0", "::1", False),
    ],
)
def test_address_in_an_allowed_network_is_allowed(network: str, text: str, allowed: bool) -> None:
    """Whatever block it is in, but in no other spelling than the network's own; public ones stay allowed."""
    guard = Guard(networks=(ip_network(network),))
    assert (guard.rule_against(text) is None) == allowed


@pytest.mark.parametrize(
    ("fields", "url", "rule"),
    [
        ({}, "https://h.example.com/x", None),
        ({}, "https://h.example.com:443/x", None),
        ({}, "HTTPS://h.example.com/x", None),
        ({}, "http://h.example.com/x", Rule.SCHEME),
        ({}, "http://h.example.com:443/x", Rule.SCHEME),
        ({}, "https://h.example.com:8443/x", Rule.PORT),
        ({}, "https://h.example.com:80/x", Rule.PORT),
        ({"allow_ports": [8443]}, "https://h.example.com:8443/x", None),
        ({"allow_ports": [8443]}, "https://h.example.com/x", None),
        ({"allow_ports": [80]}, "http://h.example.com/x", Rule.SCHEME),
        ({"allow_insecure": True}, "http://h.example.com/x", None),
        ({"allow_insecure": True}, "https://h.example.com/x", None),
        ({"allow_insecure": True}, "http://h.example.com:8080/x", Rule.PORT),
        ({"allow_insecure": True, "allow_ports": [8080]}, "http://h.example.com:8080/x", None),
    ],
)
def test_scheme_and_port_are_allowed_or_not(fields: dict[str, object], url: str, rule: Rule | None) -> None:
    """https at its own port, and what the endpoint names."""
    guard = Guard.of(Endpoint.model_validate({"url": url, "secret_env": "S", **fields}))
    try:
        guard.check_url(url)
    except GuardRefused as refused:
        assert refused.rule is rule
    else:
        assert rule is None


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_has_a_remedy(rule: Rule) -> None:
    """It names the field of the exception."""
    assert "allow_" in rule.remedy


def test_guards_that_allow_the_same_are_equal() -> None:
    """Connections are kept for endpoints with the same rules."""
    hooks = [
        Endpoint(url=f"https://h.example.com/{n}", secret_env=("S",), allow_ports=(n,)) for n in (1, 1, 2)
    ]
    first, same, other = map(Guard.of, hooks)
    assert first == same != other and len({first, same, other}) == 2
