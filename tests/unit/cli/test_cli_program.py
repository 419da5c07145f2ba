"""The command group: help, exit statuses, and one line for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import Result
from structlog.testing import capture_logs

from tests.unit.cli.conftest import Run, one_line
from worker.celery_edge.starting import refused_in_lines, tell_unread_variables
from worker.cli import COMMANDS
from worker.errors import BrokerUnavailable, ConfigurationError, InvalidJob, StoreUnavailable
from worker.settings import example_accounts

ROOT = Path(__file__).parents[3]
SUBCOMMANDS = [
    *((name,) for name in COMMANDS),
    ("accounts", "hold"),
    ("accounts", "resume"),
    ("webhooks", "list"),
    ("webhooks", "rotate"),
    ("webhooks", "secrets"),
    ("dead", "list"),
]
CALLWORKER = [sys.executable, "-m", "worker.cli"]
HEAVY = ("celery", "kombu", "pydantic", "redis", "requests", "rich")


@pytest.mark.parametrize("words", SUBCOMMANDS)
def test_every_command_helps_with_an_example(run: Run, words: tuple[str, ...]) -> None:
    """--help of each command ends well and shows a line that can be typed."""
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert f"callworker {' '.join(words)}" in result.stdout.partition("Example:")[2]


def test_help_lists_every_command(run: Run) -> None:
    """The program's help names each command with its line."""
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"{name} " in result.stdout and line in result.stdout for name, line in COMMANDS.items())


def test_help_imports_nothing_heavy() -> None:
    """`callworker --help` is quick: none of the large libraries is imported for it."""
    code = (
        "import sys, worker.cli\n"
        "try: worker.cli.program.main(['--help'])\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("words", [(), *SUBCOMMANDS])
def test_every_command_knows_the_short_option_for_help(run: Run, words: tuple[str, ...]) -> None:
    """-h prints what --help prints (D10)."""
    assert run(*words, "-h").stdout == run(*words, "--help").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("enqeue",), "enqueue"),
        (("result", "--max", "1"), "results"),
        (("dead", "lst"), "list"),
        (("job", "x", "--jsn"), "--json"),
    ],
)
def test_misspelled_word_is_answered_with_the_one_that_is_near(
    run: Run, words: tuple[str, ...], meant: str
) -> None:
    """A command or an option that is nearly one of ours is wrong usage, and the line names that one (D10)."""
    result = run(*words)
    assert result.exit_code == 2
    assert re.search(rf"did you mean '?{meant}", one_line(result), re.IGNORECASE)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_commands_and_options(shell: str) -> None:
    """The script that docs/reference/commands.md names is given, and completes what has been typed so far (D10)."""
    environ = {**os.environ, "_CALLWORKER_COMPLETE": f"{shell}_source"}
    script = subprocess.run(CALLWORKER, env=environ, capture_output=True, text=True, check=True).stdout
    assert f"_CALLWORKER_COMPLETE={shell}_complete" in script
    typed = {"_CALLWORKER_COMPLETE": f"{shell}_complete", "COMP_WORDS": "callworker enq", "COMP_CWORD": "enq"}
    typed |= {} if shell == "fish" else {"COMP_CWORD": "1"}
    found = subprocess.run(
        CALLWORKER, env={**os.environ, **typed}, capture_output=True, text=True, check=True
    )
    assert "enqueue" in found.stdout


def test_values_without_an_option_are_not_repeated(run: Run) -> None:
    """A PIN or a number in the wrong place is not in the error, which ends up in mails and logs (E11)."""
    result = run("enqueue", "2125550123", "4711")
    assert result.exit_code == 2
    assert "2125550123" not in one_line(result)
    assert "4711" not in one_line(result)


def test_color_can_be_switched_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-color before the command is NO_COLOR=1, which all that prints heeds (D10)."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run("--no-color", "doctor", "--help").exit_code == 0
    assert os.environ.pop("NO_COLOR") == "1"


def test_version_is_told(run: Run) -> None:
    """--version prints the name and the version."""
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("callworker, version ")


def test_program_without_a_command_is_wrong_usage(run: Run) -> None:
    """The bare name prints the help and exits with 2."""
    result = run()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("job",),
        ("job", "a", "b"),
        ("results", "--max", "0"),
        ("sandbox", "--port", "99999"),
        ("run", "--no-such-option"),
        ("dead", "list", "--max", "many"),
        ("accounts", "--json", "resume", "acme"),
        ("enqueue",),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run: Run, words: tuple[str, ...]) -> None:
    """Wrong usage of any kind ends with 2 and a line that names where help is."""
    result = run(*words)
    assert result.exit_code == 2
    assert "--help`" in one_line(result)


def test_wrong_setting_is_one_line_that_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting with a wrong value ends a command with 1, the variable's name and no traceback."""
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    result = run("job", "x")
    assert result.exit_code == 1
    assert "LOG_LEVEL" in one_line(result)


@pytest.mark.parametrize("words", [("job", "x"), ("accounts",), ("results",), ("dead", "list")])
def test_no_embedded_server_is_told_with_what_to_do(run: Run, words: tuple[str, ...]) -> None:
    """Commands that need the embedded server say that it does not run, and how to start it."""
    result = run(*words)
    assert result.exit_code == 1
    assert "callworker run" in one_line(result)


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ConfigurationError("ACCOUNTS_FILE: is not there"), "ACCOUNTS_FILE: is not there"),
        (InvalidJob("INVALID_JOB", "the job is not valid", {"phone": "is required"}), "phone: is required"),
        (StoreUnavailable("Redis does not answer"), "Redis does not answer"),
        (BrokerUnavailable("amqp://u:hunter22@broker is away"), "[redacted]"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "the port is in use"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "jobs.csv"), "jobs.csv: No such file"),
        (KeyError("lost"), "a bug in callworker"),
        (click.ClickException("two\nlines"), "two lines"),
    ],
)
def test_errors_are_one_line_and_status_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, problem: Exception, told: str
) -> None:
    """Whatever a command raises becomes one line without secrets, and status 1."""
    result = _raising(run, monkeypatch, problem)
    assert result.exit_code == 1
    assert told in one_line(result)
    assert "hunter22" not in result.output


def test_ctrl_c_ends_quietly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt ends with 130 and not a word."""
    result = _raising(run, monkeypatch, KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.output.strip() == ""


def _raising(run: Run, monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> Result:
    """Run a command whose body raises `problem`."""

    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(import_module("worker.cli.job").command, "callback", fail)
    return run("job", "x")


def test_sandbox_on_a_taken_port_is_one_line() -> None:
    """The real program on a port in use: status 1, one line, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli", "sandbox", "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "callworker: the port is in use: end the program that uses it, or choose another with --port"
    ]


def test_worker_with_a_missing_accounts_file_is_one_line(tmp_path: Path) -> None:
    """The real worker without its accounts file: status 1, one line that names the file."""
    missing = tmp_path / "none.toml"
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "run"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/usr/bin",
            "CALLWORKER_STATE_DIR": str(tmp_path / "state"),
            "ACCOUNTS_FILE": str(missing),
        },
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(missing) in done.stderr


STARTS = {"run": ["-m", "worker.cli", "run"], "celery": ["-m", "celery", "-A", "worker.app", "worker"]}


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("settings", [{}, {"LOG_LEVEL": "LOUD", "CONCURRENCY": "0"}])
def test_worker_tells_everything_that_is_wrong_at_once(
    tmp_path: Path, how: str, settings: dict[str, str]
) -> None:
    """Wrong settings, an account, another's missing key, an error table, a misspelt name: a line each (D8)."""
    (tmp_path / "accounts.toml").write_text(
        '[accounts.acme]\nrate = "1/s"\napi_key_env = "ACME_KEY"\n'
        '[accounts.globex]\nrate = "1/d"\napi_key_env = "GLOBEX_KEY"\n'
    )
    (tmp_path / "errors.toml").write_text('[codes]\nA = "later"\n')
    files = {"ACCOUNTS_FILE": tmp_path / "accounts.toml", "PROVIDER_ERRORS_FILE": tmp_path / "errors.toml"}
    done = subprocess.run(
        [sys.executable, *STARTS[how]],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "/usr/bin", "CALLWORKER_STATE_DIR": str(tmp_path), "LOG_LEVL": "DEBUG", **settings}
        | {name: str(path) for name, path in files.items()},
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert all(line.startswith("callworker: ") for line in lines)
    assert [
        any(name in line for line in lines)
        for name in (*settings, "ACME_KEY", "globex", "errors.toml", "LOG_LEVL")
    ] == [True] * len(lines)


def test_accounts_of_the_package_are_never_used_without_a_word(tmp_path: Path) -> None:
    """Nothing starts without the operator's own accounts file; the line names an example to copy (D8)."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "run"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "CALLWORKER_STATE_DIR": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("callworker: ACCOUNTS_FILE: config/accounts.toml: does not exist")
    assert str(example_accounts()) in done.stderr and len(done.stderr.splitlines()) == 1


def test_variable_that_nothing_reads_is_logged_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker starts, for the variable may be another program's, and says what was probably meant (D8)."""
    monkeypatch.setenv("ACCOUNT_FILE", "x")
    with capture_logs() as lines:
        tell_unread_variables(["ACME_KEY"])
    told = {"variable": "ACCOUNT_FILE", "meant": "ACCOUNTS_FILE", "log_level": "warning"}
    assert {"event": "settings.variable_unread", **told} in lines


def test_refusal_is_one_line_whatever_a_path_holds() -> None:
    """A line break or an escape in a file's name neither breaks the line nor moves the cursor (D8)."""
    with pytest.raises(SystemExit) as end, refused_in_lines():
        raise ConfigurationError("ACCOUNTS_FILE: a\nb\x1b[2J: does not exist")
    assert end.value.code == "callworker: ACCOUNTS_FILE: a\\nb\\x1b[2J: does not exist"
