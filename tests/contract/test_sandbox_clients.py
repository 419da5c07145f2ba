"""Client code written in the style of the real API's users works against the sandbox, host aside."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import urlopen
from xml.dom import minidom
from xml.etree import ElementTree

import pytest
import requests

from tests.processes import absent
from worker.sandbox import Sandbox

FORM = {
    "key": "0123456789abcdef0123456789abcdef",
    "country": "1",
    "phone": "2025550199",
    "code": "12345",
    "message": "English",
    "ref": "order 7 & more",
}
REF = re.compile(r"[0-9A-F]{32}")

NODE_CLIENT = """
const [url, form] = process.argv.slice(1);
const post = (call, fields) =>
  fetch(`${url}/${call}.json`, {method: "POST", body: new URLSearchParams(fields)});
const fields = JSON.parse(form);
const placed = JSON.parse(await (await post("telephonecall", fields)).text());
const typed = {key: fields.key, referenceid: placed.response.ref, code: fields.code};
const status = JSON.parse(await (await post("telephonestatus", typed)).text());
const refused = JSON.parse(await (await post("telephonecall", {...fields, code: "1"})).text());
console.log(JSON.stringify([placed.response.ref, status.response.valid, refused.failed.error_code]));
"""

PHP_CLIENT = """
[$url, $form] = array_slice($argv, 1);
$fields = json_decode($form, true);
$ask = fn($call, $with) => simplexml_load_string(
    file_get_contents("$url/$call.xml?" . http_build_query($with)));
$placed = $ask("telephonecall", $fields);
$status = $ask("telephonestatus", ["key" => $fields["key"], "referenceid" => (string)$placed->ref,
    "code" => $fields["code"]]);
$refused = $ask("telephonecall", ["code" => "1"] + $fields);
echo json_encode([(string)$placed->ref, (string)$status->valid, (string)$refused->error_code]);
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def text_of(document: minidom.Document, name: str) -> str:
    return str(document.getElementsByTagName(name)[0].firstChild.data)  # type: ignore[union-attr]


def test_urllib_get_and_minidom(sandbox: Sandbox) -> None:
    """A query string goes in, elements are found by name; an error is found where an answer would be."""
    with urlopen(f"{sandbox.url}/telephonecall.xml?{urlencode(FORM)}", timeout=20) as answer:
        assert REF.fullmatch(text_of(minidom.parse(answer), "ref"))
    with urlopen(
        f"{sandbox.url}/telephonecall.xml?{urlencode(FORM | {'phone': '2025550001'})}", timeout=20
    ) as answer:
        assert text_of(minidom.parse(answer), "error_code") == "INVALID_TELEPHONE"


def test_urllib_post_and_json(sandbox: Sandbox) -> None:
    """A form is posted, JSON comes back, and the note arrived as it was meant."""
    with urlopen(f"{sandbox.url}/telephonecall.json", data=urlencode(FORM).encode(), timeout=20) as answer:
        assert REF.fullmatch(json.load(answer)["response"]["ref"])
    [served] = sandbox.requests()
    assert (served.method, served.note) == ("POST", "order 7 & more")


def test_requests_post_and_element_tree(sandbox: Sandbox) -> None:
    """One session places a call, asks for its status and for the balance."""
    with requests.Session() as session:

        def ask(call: str, form: dict[str, str]) -> ElementTree.Element:
            answer = session.post(f"{sandbox.url}/{call}.xml", data=form, timeout=20)
            answer.raise_for_status()
            return ElementTree.fromstring(answer.content)

        ref = ask("telephonecall", FORM).findtext("ref") or ""
        status = ask("telephonestatus", {"key": FORM["key"], "referenceid": ref, "code": FORM["code"]})
        balance = ask("balance", {"key": FORM["key"]})
    assert (status.findtext("status"), status.findtext("valid")) == ("100", "0")
    assert balance.findtext("balance") == "123"


def php_reads_xml() -> bool:
    """PHP's XML functions are a package of their own on Debian."""
    asked = subprocess.run(["php", "-r", "exit(extension_loaded('simplexml') ? 0 : 1);"], check=False)
    return asked.returncode == 0


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("node", ["--input-type=module", "--eval", NODE_CLIENT, "--"]),
        ("php", ["-r", PHP_CLIENT, "--"]),
    ],
)
def test_clients_in_other_languages(sandbox: Sandbox, program: str, arguments: list[str]) -> None:
    """Node's fetch with JSON.parse, and PHP's simplexml, read a ref, a valid PIN and a refusal."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "php" and not php_reads_xml():
        absent("PHP's simplexml (Debian: php-xml)")
    command = [program, *arguments, sandbox.url, json.dumps(FORM)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    ref, valid, error_code = json.loads(ended.stdout)
    assert REF.fullmatch(ref)
    assert (valid, error_code) == ("0", "INVALID_CODE")


def test_slow_answer_takes_two_real_seconds(sandbox: Sandbox) -> None:
    """With the real clock, 0010 outlasts a timeout of one second, and is on the log all the same."""
    form = FORM | {"phone": "2025550010"}
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{sandbox.url}/telephonecall.xml", data=form, timeout=1)
    answer = requests.post(f"{sandbox.url}/telephonecall.xml", data=form, timeout=20)
    assert answer.elapsed.total_seconds() >= 2
    assert [served.rung for served in sandbox.requests()] == [True, True]
