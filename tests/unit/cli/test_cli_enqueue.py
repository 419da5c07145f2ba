"""`callworker enqueue` up to the broker, which these tests replace by a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.cli.conftest import Run, one_line
from worker.core.jobs import Job
from worker.errors import BrokerUnavailable

FLAGS = ("enqueue", "--account", "acme", "--country", "1", "--phone", "2125550123")
CSV = "account,country,phone,code,id\nacme,1,2125550123,4711,a\nacme,1,nonsense,4711,b\n"


class Broker:
    """Takes the place of the producer and its broker: takes jobs two at a time, and may fail before a part."""

    def __init__(self) -> None:
        self.sent: list[Job] = []
        self.failure: BaseException | None = None

    def __call__(self, _: str) -> Broker:
        return self

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def enqueue_many(
        self, jobs: Sequence[Job], *, progress: Callable[[int], object] = lambda _: None
    ) -> None:
        for start in range(0, len(jobs), 2):
            if start and self.failure is not None:
                raise self.failure
            self.sent += jobs[start : start + 2]
            progress(min(start + 2, len(jobs)))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """The broker, and an AMQP address for it, with no Redis anywhere."""
    found = Broker()
    monkeypatch.setenv("BROKER_URL", "amqp://127.0.0.1:1//")
    monkeypatch.setattr("worker.producer.Producer", found)
    return found


@pytest.fixture
def sent(broker: Broker) -> list[Job]:
    """The jobs that were sent."""
    return broker.sent


def test_one_job_from_flags_is_sent_and_its_id_printed(run: Run, sent: list[Job]) -> None:
    """The flags are the job's fields."""
    result = run(*FLAGS, "--code", "4711", "--id", "order-1", "--expires-at", "2099-01-01T00:00:00Z")
    assert (result.exit_code, result.stdout) == (0, "order-1\n")
    assert (sent[0].code, sent[0].phone, sent[0].expires_at is not None) == ("4711", "2125550123", True)


def test_json_shows_the_number_masked_and_no_pin(run: Run, sent: list[Job]) -> None:
    """--json prints an object for the job, safe to keep."""
    result = run(*FLAGS, "--code", "4711", "--id", "order-1", "--json")
    shown = {"id": "order-1", "account": "acme", "country": "1", "phone": "******0123"}
    assert json.loads(result.stdout) == shown


def test_code_is_read_from_standard_input(run: Run, sent: list[Job]) -> None:
    """--code - keeps the PIN off the command line."""
    assert run(*FLAGS, "--code", "-", input="4711\n").exit_code == 0
    assert sent[0].code == "4711"


def test_invalid_flags_are_wrong_usage_and_send_nothing(run: Run, sent: list[Job]) -> None:
    """Each wrong flag is named with its rule; values are not repeated."""
    result = run(*FLAGS, "--code", "0123", "--expires-at", "tomorrow")
    assert result.exit_code == 2
    line = one_line(result)
    assert "--code must be" in line
    assert "--expires-at must be" in line
    assert "0123" not in line
    assert sent == []


def test_missing_flags_are_named(run: Run, sent: list[Job]) -> None:
    """The error names the flags of missing required fields."""
    result = run("enqueue", "--account", "acme")
    assert result.exit_code == 2
    assert "--country, --phone, --code" in one_line(result)


@pytest.mark.parametrize("extra", [("--phone", "2125550123"), ("--wait",), ("--id", "x"), ("--timeout", "3")])
def test_file_goes_with_no_flag_of_a_single_job(run: Run, sent: list[Job], extra: tuple[str, ...]) -> None:
    """--file and what can only be one job's exclude each other; --account was one, and is a default now (D10)."""
    result = run("enqueue", "--file", "jobs.csv", *extra)
    assert result.exit_code == 2
    assert f"{extra[0]}: is for one job" in one_line(result)


@pytest.mark.parametrize("extra", [("--skip-invalid",), ("--new-ids",), ("--format", "csv")])
def test_one_job_goes_with_no_flag_of_a_file(run: Run, sent: list[Job], extra: tuple[str, ...]) -> None:
    """Flags for files are refused without a file."""
    result = run(*FLAGS, "--code", "4711", *extra)
    assert result.exit_code == 2
    assert f"{extra[0]}: is only for --file" in one_line(result)


def test_flags_are_defaults_for_a_file(run: Run, sent: list[Job]) -> None:
    """--account beside --file is for the lines that name none (D10)."""
    table = "country,phone,code,id,account\n1,2125550123,4711,a,\n1,2125550123,4711,b,globex\n"
    result = run("enqueue", "--file", "-", "--format", "csv", "--account", "acme", input=table)
    assert result.exit_code == 0, result.stderr
    assert [job.account for job in sent] == ["acme", "globex"]


SAME = "account,country,phone,code\nacme,1,2125550123,4711\nacme,1,2125550123,4711\nacme,1,2125550124,4711\n"


def ids(result: Result) -> list[str]:
    return result.stdout.splitlines()


def test_lines_without_an_id_have_the_same_ones_when_sent_again(run: Run, sent: list[Job]) -> None:
    """The same file has the same ids, of which none is there twice, so that repeats are dropped; equal lines are calls
    of their own. No id holds a number or PIN (D4)."""
    first = run("enqueue", "--file", "-", "--format", "csv", input=SAME)
    again = run("enqueue", "--file", "-", "--format", "csv", input=SAME)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert ids(first) == ids(again) == [job.id for job in sent[:3]]
    assert len(set(ids(first))) == 3
    assert not any("4711" in one or "212555" in one for one in ids(first))


def test_new_ids_are_others_each_time(run: Run, sent: list[Job]) -> None:
    """--new-ids makes every line a new call, for who means to ring again (D4)."""
    runs = [run("enqueue", "--file", "-", "--format", "csv", "--new-ids", input=SAME) for _ in range(2)]
    assert len({*ids(runs[0]), *ids(runs[1])}) == 6


@pytest.mark.parametrize(
    ("failure", "status"), [(KeyboardInterrupt(), 130), (BrokerUnavailable("the broker is away"), 1)]
)
def test_file_that_is_broken_off_tells_how_far_it_came(
    run: Run, broker: Broker, failure: BaseException, status: int
) -> None:
    """After Ctrl-C or with a broker that went away, the ids of what was sent are printed, and that the file can be sent
    again; then the rest is new and the beginning a repeat (D4)."""
    broker.failure = failure
    broken = run("enqueue", "--file", "-", "--format", "csv", input=SAME)
    assert broken.exit_code == status
    assert (
        "2 of 3 sent; run it again; jobs that were sent already are dropped" in broken.stderr.splitlines()[-1]
    )
    broker.failure = None
    assert ids(run("enqueue", "--file", "-", "--format", "csv", input=SAME))[:2] == ids(broken)


def test_id_that_two_different_jobs_of_a_file_have_is_told(run: Run, sent: list[Job]) -> None:
    """The second would be dropped; a line that is the same once more does no harm."""
    table = CSV.partition("acme,1,nonsense")[0]
    result = run("enqueue", "--file", "-", "--format", "csv", input=table + "acme,1,2125550199,4711,a\n")
    assert result.exit_code == 1
    assert "standard input:3: id: is already used by another job, in line 2" in result.stderr
    assert (
        run("enqueue", "--file", "-", "--format", "csv", input=table + "acme,1,2125550123,4711,a\n").exit_code
        == 0
    )


@pytest.fixture
def accounts_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text('[accounts.acme]\napi_key_env = "K"\nrate = "60/m"\ncountries = ["1"]\n')
    monkeypatch.setenv("ACCOUNTS_FILE", str(file))


@pytest.mark.usefixtures("accounts_file")
@pytest.mark.parametrize(
    ("flag", "value", "told"), [("account", "nosuch", "it has acme"), ("country", "44", "countries")]
)
def test_job_that_no_worker_would_take_is_refused_at_once(
    run: Run, sent: list[Job], flag: str, value: str, told: str
) -> None:
    """Where the accounts file is at hand an unknown account, or a country that it may not dial, is wrong usage and a
    bad line; it would be rejected, and its id used up (D6)."""
    result = run(*FLAGS, "--code", "4711", f"--{flag}", value)
    assert result.exit_code == 2
    assert f"--{flag} is not" in one_line(result)
    assert told in one_line(result)
    job = {"account": "acme", "country": "1", "phone": "2125550123", "code": "4711", flag: value}
    result = run("enqueue", "--file", "-", "--format", "jsonl", input=json.dumps(job))
    assert result.exit_code == 1
    assert f"standard input:1: {flag}: is not" in result.stderr
    assert sent == []


def test_accounts_are_not_checked_where_their_file_is_not(
    run: Run, sent: list[Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A producer's machine need not have the accounts (D6)."""
    monkeypatch.chdir(tmp_path)
    assert run(*FLAGS, "--code", "4711", "--account", "nosuch").exit_code == 0
    assert [job.account for job in sent] == ["nosuch"]


@pytest.mark.usefixtures("accounts_file")
def test_jobs_that_must_expire_are_warned_of(run: Run, sent: list[Job]) -> None:
    """700 jobs of ten minutes cannot all be called at 60 a minute: a warning says how many; all are sent (D6)."""
    table = "country,phone,code\n" + "".join(f"1,21255{n:05},4711\n" for n in range(700))
    result = run("enqueue", "--file", "-", "--format", "csv", "--account", "acme", input=table)
    assert result.exit_code == 0
    assert "warning: account acme: about 100 of 700 jobs cannot be called before they expire" in result.stderr
    later = run(
        "enqueue", "--file", "-", "--format", "csv", "--account", "acme", "--expires-at", "1h", input=table
    )
    assert "warning" not in later.stderr
    assert len(sent) == 1400


def test_file_with_a_bad_line_sends_nothing(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """One bad line stops the whole file, and is named."""
    file = tmp_path / "jobs.csv"
    file.write_text(CSV)
    result = run("enqueue", "--file", str(file))
    assert (result.exit_code, result.stdout, sent) == (1, "", [])
    assert f"{file}:3: phone: must be" in result.stderr
    assert "nothing was sent" in result.stderr


def test_skip_invalid_sends_the_good_lines_and_still_fails(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """--skip-invalid sends what it can, lists the rest and ends with 1."""
    file = tmp_path / "jobs.csv"
    file.write_text(CSV)
    result = run("enqueue", "--file", str(file), "--skip-invalid")
    assert (result.exit_code, result.stdout) == (1, "a\n")
    assert [job.id for job in sent] == ["a"]
    assert f"{file}:3:" in result.stderr


def test_jobs_come_from_standard_input(run: Run, sent: list[Job]) -> None:
    """--file - reads what is piped in, in the format that is named."""
    result = run("enqueue", "--file", "-", "--format", "csv", input=CSV.partition("acme,1,nonsense")[0])
    assert (result.exit_code, result.stdout) == (0, "a\n")


def test_empty_file_is_an_error(run: Run, sent: list[Job], tmp_path: Path) -> None:
    """A file without jobs is an error and is not passed over."""
    file = tmp_path / "jobs.jsonl"
    file.touch()
    result = run("enqueue", "--file", str(file))
    assert result.exit_code == 1
    assert "holds no jobs" in one_line(result)


def test_file_that_is_not_there_is_one_line(run: Run, sent: list[Job]) -> None:
    """The operating system's error names the file."""
    result = run("enqueue", "--file", "no-such-file.csv")
    assert result.exit_code == 1
    assert one_line(result) == "callworker: no-such-file.csv: No such file or directory"
