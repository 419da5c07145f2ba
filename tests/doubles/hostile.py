"""Texts that almost match a pattern again and again: the costliest that a stranger can send."""

from __future__ import annotations

LABELS = (
    "code", "pin", "otp", "passcode", "pinCode", "verification_code", "phone", "phone_number",
    "msisdn", "mobile",
    "key", "api-key", "apikey", "secret", "client_secret", "password", "passwd", "token",
    "access_token", "cookie",
    "authorization", "args", "kwargs", "argsrepr", "kwargsrepr", "body", "input_value", "routing_key",
)  # fmt: skip

BEHIND = (
    "=", ":", ": ", ">", " = ", "==", "=>", "='", '="', '="\\', "':'", '":"', '\\":\\"', "',",
    "', '", "',b'", "=[",
    "=[[", "=(", "={", "=%", "=%22", "%22%3A%22", "&quot;:&quot;", "%3D", "=%20", "=+", "\n",
    "\t=\t", " ", "\\", "\\\\'",
)  # fmt: skip

OTHERS = (
    "-", "--a", "'", '"', "\\", "\\'", '\\\\"', "a_", "a-", "_", "1", "12", "1234567",
    "1234567890123456", "+1 ",
    "+1(", "+1 (212) ", "(212) ", "(212) 555-", "212-", "212.555.", "1.", "0.", "1.1e-",
    "1500000000.", "1500000000000-",
    "\n", " ", "\t", "code ", "pin is ", "the pin ", "body: ", "\nbody:", "://", "://:", "://a:",
    "://a@", "://a:b@",
    "http://a:", "redis://:/", ":\\/\\/", "?password=", "&key=", ";a_token=", "whsec_", "Bearer ",
    "eyJ", "+eyJ", "gAI",
    "\\x80\\x02", "input_value=", ", input_type=", "Task a", "Task a.", "Task a[", "Task ", "0x",
    "deadbeef-", "a" * 31 + " ",
    "contents of the message body was", "{", "[", '{"a":', '{"a":[', "<a>", "<key>", "</key>",
    "&#", "&#52;", "%34", "%",
    "\\u0034", "\\n", "%20", " %20", "é", "\u0664", "\uff14", "\U0001f600", "\ud800", "\ufdfa",
    "\x00", "\u2028", '"ref":',
    '"ref": ' + "a" * 31, "=?", "=?utf-8?q?", "aA", "Aa", "(", ")", "()", ",", ";", "A_", "AB_C ",
    "9" * 31 + "-",
)  # fmt: skip


def texts(length: int) -> dict[str, str]:
    """Return texts of `length` characters, by what each repeats."""
    seeds = [label + behind for label in LABELS for behind in ("=", ": ", '="\\')]
    seeds += [label + behind for label in ("code", "key", "phone") for behind in BEHIND]
    seeds += [f"{label}{behind}{label}" for label in ("code", "key") for behind in BEHIND]
    return {seed: repeated(seed, length) for seed in (*seeds, *OTHERS)}


def repeated(seed: str, length: int) -> str:
    return (seed * (length // len(seed) + 1))[:length]
