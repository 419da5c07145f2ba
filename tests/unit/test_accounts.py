"""The accounts file: what it may contain, and how faults are reported."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.accounts import Accounts
from worker.errors import ConfigurationError
from worker.settings import config_file

ACME = '[accounts.acme]\napi_key_env = "ACME_KEY"\nrate = "60/m"\n'
HOOK = '[[accounts.acme.webhooks]]\nurl = "https://h.example.com/x"\nsecret_env = "ACME_SECRET"\n'
SECRET = "whsec_" + base64.b64encode(b"tulip" * 5).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.toml"


def load(file: Path, text: str) -> Accounts:
    file.write_text(text, encoding="utf-8")
    return Accounts.load(file)


def complaint(file: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as problem:
        load(file, text)
    return str(problem.value)


def test_example_of_the_project_is_valid() -> None:
    """The file that `make demo` runs on."""
    assert set(Accounts.load(config_file("accounts.toml"))) == {"acme", "globex", "initech"}


def test_files_that_say_the_same_have_one_digest(file: Path) -> None:
    """Whatever their comments and order, and whether a default is written down; another limit is another file (B7)."""
    globex = ACME.replace("acme", "globex")
    first = load(file, ACME + globex).digest
    assert load(file, f"# a comment\n{globex}burst = 1\n{ACME}").digest == first
    assert load(file, ACME + globex.replace("60/m", "61/m")).digest != first


def test_defaults_are_those_of_the_contract(file: Path) -> None:
    """Key and rate are all that must be said."""
    account = load(file, ACME)["acme"]
    assert (account.burst, account.concurrency, account.ttl) == (1, 20, 600)
    assert (account.attempts, account.redials) == (5, 1)
    assert account.countries is None and account.may_dial("972") and account.webhooks == ()
    assert load(file, ACME + HOOK)["acme"].webhooks[0].events == ("call.*",)


@pytest.mark.parametrize(
    ("change", "place", "rule"),
    [
        ('rate = "60"', "accounts.acme.rate", "5/s"),
        ('rate = "0/m"', "accounts.acme.rate", "from 1 to 999999"),
        ('rate = "1/d"', "accounts.acme.rate", "a period"),
        ("rate = 60", "accounts.acme.rate", "string"),
        ("burst = 0", "accounts.acme.burst", "greater than or equal to 1"),
        ('burst = "2"', "accounts.acme.burst", "integer"),
        ("concurrency = true", "accounts.acme.concurrency", "integer"),
        ("concurrency = 1.5", "accounts.acme.concurrency", "integer"),
        ("ttl = 0", "accounts.acme.ttl", "greater than or equal to 1"),
        ("attempts = 0", "accounts.acme.attempts", "greater than or equal to 1"),
        ("redials = -1", "accounts.acme.redials", "greater than or equal to 0"),
        ('countries = ["01"]', "accounts.acme.countries.0", "pattern"),
        ('countries = ["1", "1234"]', "accounts.acme.countries.1", "pattern"),
        ("countries = [1]", "accounts.acme.countries.0", "string"),
        ("burts = 1", "accounts.acme.burts", "not permitted"),
        ('name = "acme"', "accounts.acme.name", "is not a field"),
        ('api_key_file = "/run/x"', "accounts.acme", "exactly one of api_key_env and api_key_file"),
    ],
)
def test_wrong_field_is_one_line_with_file_place_and_rule(
    file: Path, change: str, place: str, rule: str
) -> None:
    """The operator finds the spot at once."""
    text = ACME.replace('rate = "60/m"', change) if change.startswith("rate") else ACME + change
    line = complaint(file, text)
    assert line.startswith(f"accounts file {file}: {place}: ") and rule in line and "\n" not in line


@pytest.mark.parametrize(
    ("change", "place", "rule"),
    [
        ('url = "ftp://h"', "url", "http:// or https://"),
        ('url = "https://u:p@h"', "url", "before @"),
        ('url = "https://h:99999"', "url", "from 1 to 65535"),
        ('url = "https://[::1"', "url", "neither a name nor an address"),
        ("secret_env = []", "secret_env", "at least 1"),
        ("events = []", "events", "at least 1"),
        ('events = "call.*"', "events", "tuple"),
        ("retries = 3", "retries", "not permitted"),
    ],
)
def test_wrong_webhook_is_one_line_with_its_number(file: Path, change: str, place: str, rule: str) -> None:
    """Endpoints are counted from 0, as in the file."""
    name = change.split(maxsplit=1)[0]
    hook = "".join(f"{line}\n" for line in HOOK.splitlines() if not line.startswith(f"{name} ")) + change
    line = complaint(file, ACME + hook)
    assert f"accounts.acme.webhooks.0.{place}" in line and rule in line and "\n" not in line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "[accounts]",
        "accounts = 3",
        ACME + "[other]",
        "[accounts]\nacme = 1",
        '[accounts."a b"]\n',
    ],
)
def test_file_of_another_shape_is_refused(file: Path, text: str) -> None:
    """It must hold tables `[accounts.NAME]` and nothing else."""
    assert complaint(file, text).startswith(f"accounts file {file}: ")


@pytest.mark.parametrize(
    "table",
    [
        'api_key_env = "0123456789abcdef0123456789abcdef"',
        'api_key_env = "abcdef0123456789abcdef0123456789"',
        'api_key_file = "abcdef0123456789abcdef0123456789"',
        f'api_key_env = "K"\n[[accounts.acme.webhooks]]\nurl = "https://h"\nsecret_env = "{SECRET}"',
        'api_key_env = "K"\n[[accounts.acme.webhooks]]\nurl = "https://h"\nsecret_env = "whsec_abcdefgh"',
    ],
)
def test_key_or_secret_in_place_of_its_name_is_refused_and_not_printed(file: Path, table: str) -> None:
    """A line that says that the variable of this name is not set would print it (C7)."""
    line = complaint(file, f'[accounts.acme]\nrate = "1/s"\n{table}\n')
    assert line.endswith(("not its value", "not its content"))
    assert not any(secret in line for secret in ("0123456789abcdef", SECRET[6:], "abcdefgh"))


def test_account_without_rate_is_refused(file: Path) -> None:
    """No limit is a mistake, never a default."""
    line = complaint(file, '[accounts.acme]\napi_key_env = "K"\n')
    assert line == f"accounts file {file}: accounts.acme.rate: Field required"


def test_text_that_is_not_toml_names_the_line(file: Path) -> None:
    """The line holds the parser's own words."""
    line = complaint(file, "[accounts.acme]\nrate = = 3\n")
    assert "not valid TOML" in line and "line 2" in line and "\n" not in line


def test_file_that_is_not_utf8_is_refused(file: Path) -> None:
    """An editor's Latin-1 is reported as such with its line, and not as wrong TOML."""
    file.write_bytes(b"# caf\xe9\n" + ACME.encode())
    with pytest.raises(ConfigurationError, match="is not UTF-8 text, see line 1"):
        Accounts.load(file)


def test_file_with_a_byte_order_mark_is_read(file: Path) -> None:
    """An accounts file that Windows' Notepad has saved is read as any other (C1)."""
    file.write_bytes(b"\xef\xbb\xbf" + ACME.encode())
    assert set(Accounts.load(file)) == {"acme"}


def test_everything_wrong_in_a_file_is_told_at_once(file: Path) -> None:
    """Each fault of each account has a line of its own, so that an operator can correct all of them at once (D8)."""
    with pytest.raises(ConfigurationError) as problem:
        load(file, ACME + "burst = 0\nttl = 0\n" + '[accounts.globex]\nrate = "1/d"\n')
    places = [
        line.removeprefix(f"accounts file {file}: ").partition(": ")[0] for line in problem.value.problems
    ]
    assert sorted(places) == [
        "accounts.acme.burst",
        "accounts.acme.ttl",
        "accounts.globex",
        "accounts.globex.rate",
    ]


def test_valid_part_leaves_out_what_is_wrong(file: Path) -> None:
    """The secrets of the other accounts can be looked at all the same (D8)."""
    file.write_text(ACME + '[accounts.globex]\nrate = "1/d"\napi_key_env = "K"\n')
    accounts, faults = Accounts.valid_part(file)
    assert set(accounts) == {"acme"} and len(faults) == 1 and "globex" in faults[0]


def test_every_missing_secret_is_told_at_once(file: Path) -> None:
    """A key and a webhook secret that are missing are two lines, each with its account and variable (D8)."""
    with pytest.raises(ConfigurationError) as problem:
        load(file, ACME + HOOK + '[accounts.globex]\nrate = "1/s"\napi_key_env = "GLOBEX_KEY"\n').secrets({})
    assert [("acme" in line, "globex" in line) for line in problem.value.problems] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert [
        name in line
        for name, line in zip(("ACME_KEY", "ACME_SECRET", "GLOBEX_KEY"), problem.value.problems, strict=True)
    ] == [True] * 3


@pytest.mark.parametrize("name", ["no-such-file", "."])
def test_file_that_cannot_be_read_names_its_setting(tmp_path: Path, name: str) -> None:
    """The variable to set, the path that was tried, and what it must be."""
    with pytest.raises(ConfigurationError) as problem:
        Accounts.load(tmp_path / name)
    line = str(problem.value)
    assert line.startswith(f"ACCOUNTS_FILE: {tmp_path / name}: ") and "allowed is the path" in line


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(
    ["api_key_env", "api_key_file", "rate", "burst", "ttl", "countries", "webhooks", "name", "x"]
)


@given(st.dictionaries(st.text(max_size=5) | st.just("acme"), st.dictionaries(field_names, toml_values)))
def test_any_document_is_taken_or_refused_in_one_line(tables: dict[str, object]) -> None:
    """Whatever a TOML file can hold, the answer is accounts or ConfigurationError."""
    try:
        Accounts.parse({"accounts": tables})
    except ConfigurationError as error:
        assert str(error)


def test_key_comes_from_environment_or_file(file: Path, tmp_path: Path) -> None:
    """The key is read without the white space around it and without a file's byte-order mark (C1)."""
    key_file = tmp_path / "key"
    key_file.write_bytes(b"\xef\xbb\xbftulip-key\r\n\n")
    assert load(file, ACME)["acme"].api_key({"ACME_KEY": " tulip-key "}) == "tulip-key"
    in_file = f'[accounts.acme]\napi_key_file = "{key_file}"\nrate = "1/s"\n'
    assert load(file, in_file)["acme"].api_key({}) == "tulip-key"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"tulip-key\nsecond line\n", "holds 2 lines"),
        (b'"tulip-key"\n', "holds quotes"),
        ("tulip-key".encode("utf-16"), "is UTF-16 text"),
        ("tulip-key".encode("utf-16-le"), "is not UTF-8 text"),
        (b"tulip key", "holds a space"),
        (b"tulip\xe9", "is not UTF-8 text"),
        (b"\n", "is empty"),
    ],
)
def test_key_file_that_holds_no_key_is_refused_with_its_cause(
    file: Path, tmp_path: Path, content: bytes, cause: str
) -> None:
    """A file whose content would be sent as a wrong key stops the start, and the line never shows it.

    A second line was ignored before; it may be the newer key, so that nobody can tell which one is meant (C1).
    """
    key_file = tmp_path / "key"
    key_file.write_bytes(content)
    accounts = load(file, f'[accounts.acme]\napi_key_file = "{key_file}"\nrate = "1/s"\n')
    with pytest.raises(ConfigurationError) as problem:
        accounts.secrets({})
    line = str(problem.value)
    assert (
        line.startswith(f"account acme: the file {key_file} {cause}")
        and "tulip" not in line.partition("key ")[2]
    )


@pytest.mark.parametrize("environ", [{}, {"ACME_KEY": " "}])
def test_missing_key_names_the_variable(file: Path, environ: dict[str, str]) -> None:
    """One line before the first job, not a refused call after it."""
    with pytest.raises(ConfigurationError, match="account acme: the environment variable ACME_KEY holds no"):
        load(file, ACME).secrets(environ)


def test_missing_key_file_is_named(file: Path, tmp_path: Path) -> None:
    """A file that is not there is named like one that cannot be read."""
    accounts = load(file, f'[accounts.acme]\napi_key_file = "{tmp_path / "none"}"\nrate = "1/s"\n')
    with pytest.raises(ConfigurationError, match="the file .*none does not exist"):
        accounts.secrets({})


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "tulip",
        "whsec_",
        "whsec_tulip!",
        "whsec_" + base64.b64encode(b"tulip").decode(),
        SECRET[6:],
        SECRET + "é",
        f'"{SECRET}"',
        f"v1,{SECRET}",
    ],
)
def test_wrong_webhook_secret_names_the_variable_and_never_the_secret(file: Path, secret: str) -> None:
    """The line names the variable and does not repeat its value."""
    with pytest.raises(ConfigurationError) as problem:
        load(file, ACME + HOOK).secrets({"ACME_KEY": "k", "ACME_SECRET": secret})
    line = str(problem.value)
    assert "ACME_SECRET" in line and "tulip" not in line and "dHVsaXA" not in line


def test_secrets_are_decoded_in_order(file: Path) -> None:
    """Several while rotating, each `whsec_` and base64."""
    rotating = HOOK.replace('"ACME_SECRET"', '["NEW", "OLD"]')
    old = "whsec_" + base64.b64encode(b"rose" * 6).decode()
    endpoint = load(file, ACME + rotating)["acme"].webhooks[0]
    found = endpoint.secrets({"NEW": SECRET, "OLD": old})
    assert [secret.key for secret in found] == [b"tulip" * 5, b"rose" * 6]


def test_secrets_of_all_accounts_are_listed_as_text(file: Path) -> None:
    """The redaction is given each of them."""
    accounts = load(file, ACME + HOOK)
    assert accounts.secrets({"ACME_KEY": "tulip-key", "ACME_SECRET": SECRET}) == ["tulip-key", SECRET]


def test_secret_is_listed_as_given_and_in_its_standard_spelling(file: Path) -> None:
    """Redaction must know both: one may be logged where the other was set."""
    accounts = load(file, ACME + HOOK)
    bare = SECRET.rstrip("=")
    found = accounts.secrets({"ACME_KEY": "tulip-key", "ACME_SECRET": f"{bare}\n"})
    assert found == ["tulip-key", bare, SECRET]


def test_repr_of_an_account_shows_no_secret(file: Path) -> None:
    """Names of variables only; values are read when they are needed."""
    accounts = load(file, ACME + HOOK)
    accounts.secrets({"ACME_KEY": "tulip-key", "ACME_SECRET": SECRET})
    assert "tulip" not in repr(accounts["acme"]) and SECRET not in repr(accounts["acme"])


def test_countries_are_those_that_may_be_dialled(file: Path) -> None:
    """An account dials the countries listed and no others."""
    account = load(file, ACME + 'countries = ["1", "44"]\n')["acme"]
    assert account.may_dial("44") and not account.may_dial("972")


@pytest.mark.parametrize(
    ("events", "wanted"),
    [('["call.*"]', {"call.placed", "call.failed"}), ('["call.failed"]', {"call.failed"}), ('["x"]', set())],
)
def test_endpoint_gets_the_events_it_asked_for(file: Path, events: str, wanted: set[str]) -> None:
    """An endpoint gets the events that it names, by name or by pattern."""
    account = load(file, ACME + HOOK + f"events = {events}\n")["acme"]
    assert {kind for kind in ("call.placed", "call.failed") if account.endpoints_for(kind)} == wanted


def test_endpoint_key_depends_on_the_address_alone(file: Path) -> None:
    """A waiting delivery finds its endpoint after the file was rearranged."""
    first = load(file, ACME + HOOK)["acme"].webhooks[0]
    other = HOOK.replace("/x", "/y")
    moved = load(file, ACME + other + HOOK.replace("ACME_SECRET", "NEW"))["acme"].webhooks[1]
    assert first.key == moved.key != load(file, ACME + other)["acme"].webhooks[0].key
