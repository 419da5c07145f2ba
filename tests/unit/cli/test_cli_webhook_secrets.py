"""`callworker webhooks secrets` and `rotate`: what they show, write and refuse."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.cli.conftest import Run, one_line
from worker.cli.doctor import exposure, files
from worker.cli.doctor.finding import Finding, Grade
from worker.configuration import secret_files
from worker.configuration.signing_secrets import moment
from worker.core.accounts import Accounts
from worker.settings import Settings

OLD, SHORT, LONG = ("whsec_" + base64.b64encode(sign).decode() for sign in (b"o" * 32, b"s" * 16, b"l" * 65))
PRIVATE = "whsk_" + base64.b64encode(b"p" * 32).decode()
URL = "https://hooks.example.com"


class Place:
    """An accounts file with one endpoint of each sort, and the file of the first."""

    def __init__(self, folder: Path) -> None:
        self.file, self.accounts = folder / "orders.secrets", folder / "accounts.toml"
        hooks = [
            f'url = "{URL}/orders?token=tulip"\nname = "orders"\nsecret_file = "{self.file}"',
            f'url = "{URL}/bills"\nname = "bills"\nsecret_env = "BILLS"',
            f'url = "{URL}/both"\nname = "both"\nsecret_env = ["V1", "V1A"]\nsignatures = ["v1", "v1a"]',
            f'url = "{URL}/two"\nname = "two"\nsecret_env = ["BILLS_NEW", "BILLS"]',
            f'url = "{URL}/new"\nname = "new"\nsecret_env = "BILLS_NEW"',
            f'url = "{URL}/key"\nname = "key"\nsecret_file = "{folder / "key"}"\nsignatures = ["v1a"]',
        ]
        twin = (
            f'[accounts.globex]\nrate = "1/s"\napi_key_env = "K"\n[[accounts.globex.webhooks]]\n{hooks[1]}\n'
        )
        tables = "".join(f"[[accounts.acme.webhooks]]\n{hook}\n" for hook in hooks)
        self.accounts.write_text(f'[accounts.acme]\nrate = "1/s"\napi_key_env = "K"\n{tables}{twin}')
        self.file.write_text(f"# Acme\n{OLD}\n")

    @property
    def settings(self) -> Settings:
        return Settings.from_env({"ACCOUNTS_FILE": str(self.accounts), "REDIS_URL": "redis://r"})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    secrets = {"K": "0" * 32, "BILLS": SHORT, "BILLS_NEW": LONG, "V1": OLD, "V1A": PRIVATE}
    for name, value in {"ACCOUNTS_FILE": str(found.accounts), "REDIS_URL": "redis://r", **secrets}.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def run(run: Run) -> Run:
    """Runs one command line; a rotation without the audit trail, which is in Redis."""

    def invoke(*args: str) -> Result:
        return run(*args, *(["--no-audit"] if "rotate" in args else []))

    return invoke


def test_rotation_writes_the_new_secret_beside_the_old_one(run: Run, place: Place) -> None:
    """The old one signs for a day; the file's mode is kept, and no secret is printed."""
    place.file.chmod(0o640)
    before = datetime.now(UTC)
    result = run("webhooks", "rotate", "orders")
    assert result.exit_code == 0
    new, old = secret_files.read(place.file)
    assert new.until is None and len(new.key) == 32 and old.written == OLD
    assert old.until is not None
    assert timedelta(hours=24, seconds=-1) <= old.until - before <= timedelta(hours=24, minutes=2)
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o640
    assert place.file.read_text().startswith("# Acme\n")
    assert new.written[6:] not in result.output and OLD[6:] not in result.output


def test_second_rotation_meanwhile_is_refused(run: Run, place: Place) -> None:
    """A second rotation is refused with one line that says until when, and nothing is written."""
    run("webhooks", "rotate", "orders")
    text = place.file.read_text()
    result = run("webhooks", "rotate", "orders")
    assert result.exit_code != 0 and place.file.read_text() == text
    assert "a rotation is under way: two secrets sign until" in result.stderr


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90m", 5400), ("7d", 7 * 86400), ("2126-12-01T10:00:00+01:00", None)],
)
def test_end_of_the_old_secret_may_be_given(run: Run, place: Place, given: str, seconds: int | None) -> None:
    """The end may be given as a span from now, or as a time."""
    told = json.loads(run("webhooks", "rotate", "orders", "--until", given, "--json").stdout)
    end = moment(told["old_signs_until"])
    if seconds is None:
        assert end == datetime(2126, 12, 1, 9, tzinfo=UTC)
    else:
        assert abs((end - datetime.now(UTC)).total_seconds() - seconds) < 120
    assert set(told) == {"account", "endpoint", "signature", "public_key", "secret_file", "old_signs_until"}


@pytest.mark.parametrize("given", ["2020-01-01T00:00:00Z", "tomorrow", "0h", "-1h", "24", ""])
def test_wrong_end_is_wrong_usage(run: Run, place: Place, given: str) -> None:
    """Nothing is written."""
    result = run("webhooks", "rotate", "orders", "--until", given)
    assert result.exit_code == 2 and "--until" in result.stderr
    assert place.file.read_text() == f"# Acme\n{OLD}\n"


def test_first_secret_makes_the_file(run: Run, place: Place) -> None:
    """For its owner alone; a private key's public key is printed, and is the same later."""
    file = place.file.with_name("key")
    told = json.loads(run("webhooks", "rotate", "key", "--json").stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and told["old_signs_until"] is None
    (row,) = json.loads(run("webhooks", "secrets", "key", "--json").stdout)
    assert row["public_key"] == told["public_key"] and told["public_key"].startswith("whpk_")
    assert told["public_key"] in run("webhooks", "secrets", "key").stdout


def test_rotation_in_the_environment_prints_what_to_set(run: Run, place: Place) -> None:
    """The next rotation takes the first name again."""
    told = json.loads(run("webhooks", "rotate", "acme/bills", "--json").stdout)
    assert (told["variable"], told["secret_env"]) == ("BILLS_NEW", ["BILLS_NEW", "BILLS"])
    assert len(base64.b64decode(told["secret"].removeprefix("whsec_"), validate=True)) == 32
    text = run("webhooks", "rotate", "acme/bills").stdout
    assert 'secret_env = ["BILLS_NEW", "BILLS"]' in text and "BILLS_NEW=whsec_" in text
    assert json.loads(run("webhooks", "rotate", "new", "--json").stdout)["variable"] == "BILLS"


def test_second_rotation_in_the_environment_is_refused(run: Run, place: Place) -> None:
    """Two variables mean that one is under way."""
    result = run("webhooks", "rotate", "two")
    assert result.exit_code != 0 and "BILLS_NEW and BILLS: two secrets sign already" in result.stderr


def test_endpoint_with_both_kinds_is_rotated_one_at_a_time(run: Run, place: Place) -> None:
    """The operator has to say which kind to rotate; each has its own variable."""
    result = run("webhooks", "rotate", "both")
    assert result.exit_code == 2 and "the endpoint has v1 and v1a: name one with --signature" in result.stderr
    told = json.loads(run("webhooks", "rotate", "both", "--signature", "v1a", "--json").stdout)
    assert told["variable"] == "V1A_NEW" and told["secret"].startswith("whsk_")
    assert told["secret_env"] == ["V1A_NEW", "V1", "V1A"] and told["public_key"].startswith("whpk_")
    assert run("webhooks", "rotate", "orders", "--signature", "v1a").exit_code == 2


def test_broken_file_is_not_rotated(run: Run, place: Place) -> None:
    """The line that is wrong is named, and stays for a person to look at."""
    place.file.write_text(f"{OLD}\nwhsec_x\n")
    result = run("webhooks", "rotate", "orders")
    assert result.exit_code != 0 and "line 2" in result.stderr
    assert place.file.read_text() == f"{OLD}\nwhsec_x\n"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("nobody", "no endpoint is named so; the accounts file has acme/orders"),
        ("bills", "several endpoints are named so; name one of acme/bills, globex/bills"),
        (OLD, "no endpoint is named so"),
    ],
    ids=["unknown", "ambiguous", "a secret"],
)
def test_endpoint_that_is_not_found_is_wrong_usage(run: Run, place: Place, named: str, told: str) -> None:
    """The error lists the existing names and does not repeat what was typed."""
    for command in ("secrets", "rotate"):
        result = run("webhooks", command, named)
        assert result.exit_code == 2 and told in result.stderr and OLD not in result.stderr
        assert "tulip" not in result.stderr


def test_hash_of_the_url_names_an_endpoint_too(run: Run, place: Place) -> None:
    """The hash that `list` shows names an endpoint that has no name."""
    key = Accounts.load(place.accounts)["acme"].webhooks[0].key
    rows = [
        json.loads(run("webhooks", "secrets", name, "--json").stdout)
        for name in (key, f"acme/{key}", "orders")
    ]
    assert rows[0] == rows[1] == rows[2] != []


def test_secrets_are_shown_masked_with_length_and_end(run: Run, place: Place) -> None:
    """Each secret has a row; the expired ones are marked."""
    place.file.write_text(f"{OLD}\n{SHORT} until 2020-01-01T00:00:00Z\n")
    rows = json.loads(run("webhooks", "secrets", "orders", "--json").stdout)
    assert [(row["secret"], row["bytes"], row["until"], row["signs"]) for row in rows] == [
        (f"whsec_****{OLD.rstrip('=')[-4:]}", 32, None, True),
        (f"whsec_****{SHORT.rstrip('=')[-4:]}", 16, "2020-01-01T00:00:00Z", False),
    ]
    assert rows[0]["source"] == f"{place.file}: line 1"
    text = run("webhooks", "secrets", "orders").stdout
    assert "always" in text and "expired at 2020-01-01T00:00:00Z" in text
    assert not any(secret[6:] in text + json.dumps(rows) for secret in (OLD, SHORT))


def test_unreadable_secrets_do_not_hide_the_others(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell without the workers' variables shows what it can, and ends with 1."""
    monkeypatch.delenv("BILLS")
    result = run("webhooks", "secrets", "--json")
    assert result.exit_code == 1
    assert {row["endpoint"] for row in json.loads(result.stdout)} == {"orders", "both", "new"}
    assert "callworker: acme/bills: environment variable BILLS holds no webhook secret" in result.stderr
    assert one_line(run("webhooks", "secrets", "acme/bills")).startswith("callworker: acme/bills: ")


def findings(place: Place) -> list[Finding]:
    return [found for found in files.check(place.settings) if found.name.startswith("webhook ")]


def test_doctor_warns_of_odd_lengths(place: Place, run: Run) -> None:
    """Short and long secrets go on signing; the line says what Standard Webhooks asks for."""
    run("webhooks", "rotate", "key")
    found = findings(place)
    assert {finding.grade for finding in found} == {Grade.WARN}
    told = {(finding.name, finding.text.split(" has ")[1][:8]) for finding in found}
    assert ("webhook bills of acme", "16 bytes") in told and ("webhook new of acme", "65 bytes") in told
    assert not any("orders" in finding.name or "both" in finding.name for finding in found)


@pytest.mark.parametrize(
    ("end", "grade", "told"),
    [
        ("2020-01-01T00:00:00Z", Grade.FAIL, "every v1 secret in its secret_file has expired"),
        ("2126-01-01T00:00:00Z", Grade.WARN, "the last v1 secret stops signing at 2126-01-01T00:00:00Z"),
    ],
    ids=["expired", "ends"],
)
def test_doctor_tells_of_secrets_without_a_successor(
    place: Place, run: Run, end: str, grade: Grade, told: str
) -> None:
    """Before the subscriber notices."""
    run("webhooks", "rotate", "key")
    place.file.write_text(f"{OLD} until {end}\n")
    (found,) = [finding for finding in findings(place) if finding.name == "webhook orders of acme"]
    assert found.grade is grade and told in found.text and OLD[6:] not in found.text


def test_doctor_fails_for_a_broken_file(place: Place, run: Run) -> None:
    """A running worker keeps its old secrets; one that starts would refuse."""
    run("webhooks", "rotate", "key")
    place.file.write_text("whsec_x\n")
    (found,) = [finding for finding in files.check(place.settings) if finding.name == "secrets of acme"]
    assert found.grade is Grade.FAIL and f"secret_file {place.file}: line 1" in found.text


def test_doctor_warns_of_a_file_that_others_can_read(place: Place) -> None:
    """Doctor warns of the file as of a file with an API key."""
    place.file.chmod(0o644)
    place.accounts.chmod(0o600)
    assert [found.remedy for found in exposure.check(place.settings)] == [f"chmod 640 {place.file}"]
