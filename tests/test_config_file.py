"""Each fault gives its exact line; the environment and secret files land where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config_callbacks import LONGEST_URL
from gateway.config_file import load, warnings
from gateway.errors import ConfigurationError
from gateway.omnichannel.callback import longest_token

ROOT = Path(__file__).parent.parent
HASH = "$argon2id$v=19$m=8,t=1,p=1$H0/8EX0ib1IG9VE9pmAGEw$ofLTwwKwz98ItyGMTQtpkjhxhWs"
BANK = 'accounts[0] "bank"'
API = '[omnichannel]\nusername = "u"\npassword = "p"\n'
POLL = 'receipts = "poll"\n'  # receipts that need no [callbacks]
ACCOUNT = f'[[accounts]]\nsystem_id = "bank"\npassword_hash = "{HASH}"\n{POLL}'
CALLBACK_ACCOUNT = ACCOUNT.replace(POLL, "")
TRIAL = '[callbacks]\nlisten = "127.0.0.1:8081"\npublic_url = "http://127.0.0.1:8081"\n'
INSIDE = 'base_url = "http://localhost:8085/v1"\n'
PAIR = 'tls_certificate = "cert.pem"\ntls_key = "key.pem"\n'
TLS = f'[smpp]\ntls_listen = "0.0.0.0:3550"\n{PAIR}'
CALLBACKS = (
    '[callbacks]\nlisten = "0.0.0.0:8081"\npublic_url = "https://gw.example.com"\n'
    'key_file = "keys"\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "gw.toml"
    path.write_text(text)
    return path


def problems(path: Path, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ)
    return [problem.replace(f"{path}: ", "", 1) for problem in caught.value.problems]


def test_demo_and_example_load() -> None:
    demo = load(ROOT / "config" / "demo.toml", {})
    assert demo.omnichannel.password.get_secret_value() == "sandbox"
    assert warnings(demo) == []
    assert load(ROOT / "config" / "gateway.example.toml", {}).accounts[0].system_id == "bank"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[smpp]\nlistne = "x"', 'smpp.listne: unknown key, did you mean "listen"?'),
        ("[smpp]\nmax_binds = 3", "smpp.max_binds: unknown key, it belongs in [[accounts]]"),
        ("[drain]\nqqq = 3", "drain.qqq: unknown key; known here: delay, timeout"),
        ("[smp]", 'smp: unknown key, did you mean "smpp"?'),
        (
            "[smpp]\ntls_listn = 1",
            'smpp.tls_listn: unknown key, did you mean "tls_listen"?',
        ),
        (
            "[smpp]\nmax_inflight = 1",
            'smpp.max_inflight: unknown key, did you mean "max_in_flight"?',
        ),
        (
            "[smpp]\nproxy_protocoll = []",
            'smpp.proxy_protocoll: unknown key, did you mean "proxy_protocol"?',
        ),
        (
            "[smpp]\nfail_fast_after = 1",
            "smpp.fail_fast_after: unknown key, it belongs in [omnichannel]",
        ),
        ("[log]\nsampling = 5", 'log.sampling: unknown key, did you mean "sampled"?'),
        (
            "[smpp]\ntls_client_names = []",
            "smpp.tls_client_names: unknown key, it belongs in [[accounts]]",
        ),
        (
            "[admin]\ntls_cert = 'x'",
            'admin.tls_cert: unknown key, did you mean "tls_certificate"?',
        ),
        (
            '[omnichannel]\nbulk = "on"',
            'omnichannel.bulk: must be one of "auto", "off"',
        ),
        ("[omnichannel]\nbulk_max = 1", "omnichannel.bulk_max: must be at least 2 (found 1)"),
        (
            "[omnichannel]\nrate_limit = -1",
            "omnichannel.rate_limit: must be at least 0.0 (found -1)",
        ),
        ("[smpp]\nmax_waiting = 5", "smpp.max_waiting: unknown key, it belongs in [omnichannel]"),
        (
            "[smpp]\noverload_status = 'ESME_RTHROTLED'",
            'smpp.overload_status: must be one of "ESME_RTHROTTLED", "ESME_RMSGQFUL", '
            '"ESME_RSYSERR", did you mean "ESME_RTHROTTLED"?',
        ),
        (ACCOUNT + "max_bind = 4", BANK + '.max_bind: unknown key, did you mean "max_binds"?'),
        (ACCOUNT + "max_binds = 0", 'accounts[0] "bank".max_binds: must be at least 1 (found 0)'),
        (ACCOUNT + "max_binds = 1.5", 'accounts[0] "bank".max_binds: must be a whole number'),
        (ACCOUNT + "throttle = true", BANK + ".throttle: must be a number, not true or false"),
        (ACCOUNT + "throttle = nan", 'accounts[0] "bank".throttle: must be a finite number'),
        (ACCOUNT + 'enabled = "maybe"', 'accounts[0] "bank".enabled: must be true or false'),
        (
            ACCOUNT + 'allow = ["192.0.2.1", "10.0.0.0/33"]',
            'accounts[0] "bank".allow[1]: write an address or a network, such as "192.0.2.0/24"',
        ),
        (
            ACCOUNT + 'autoconvert = "ful"',
            BANK + '.autoconvert: must be one of "off", "on", "full", did you mean "full"?',
        ),
        (
            ACCOUNT + 'priorities = ["low"]',
            'accounts[0] "bank".priorities: give four words, for priority_flag 0, 1, 2 and 3',
        ),
        (
            ACCOUNT + 'password = "x"',
            'accounts[0] "bank": give exactly one of password_hash, password_file, password '
            "(found password and password_hash)",
        ),
        (
            '[[accounts]]\nsystem_id = "a"',
            'accounts[0] "a": give exactly one of password_hash, password_file, password '
            "(found none)",
        ),
        ("[[accounts]]\npassword = '1'", "accounts[0].system_id: is required"),
        (
            "[[accounts]]\nsystem_id = 123\npassword = '1'",
            'accounts[0].system_id: must be text in quotes, such as "..."',
        ),
        ("[accounts]", "accounts: must be a list of tables: write [[accounts]] with two brackets"),
        ("smpp = 3", "smpp: must be a table"),
        (ACCOUNT + ACCOUNT, "accounts: system_id 'bank' stands twice"),
        (
            '[smpp]\nlisten = "2775"',
            'smpp.listen: write "address:port", for example "127.0.0.1:2775", or "" for none',
        ),
        (
            '[omnichannel]\nbase_url = "http://api.messente.com/v1"',
            "omnichannel.base_url: http:// is for loopback addresses only, write https://",
        ),
        (
            '[omnichannel]\nproxy = "proxy"',
            'omnichannel.proxy: write "http://host:port", or "" for none',
        ),
        (
            '[callbacks]\npublic_url = "http://gw.example.com"',
            "callbacks.public_url: http:// is for loopback addresses only, write https://",
        ),
        (
            '[callbacks]\npublic_url = "https://u:p@gw.example.com"',
            "callbacks.public_url: credentials, query and fragment do not belong in public_url",
        ),
        (
            '[callbacks]\npublic_url = "https://gw.example.com/?a=b"',
            "callbacks.public_url: write it in ASCII, without spaces, query and fragment",
        ),
        ("[callbacks]\nmax_body = 10", "callbacks.max_body: must be at least 1024 (found 10)"),
        (
            ACCOUNT + 'receipt_timezone = "Europe/Tallin"',
            BANK + '.receipt_timezone: write a zone such as "Europe/Tallinn" (if the machine has '
            'its tzdata) or "+02:00"',
        ),
        (
            ACCOUNT + 'deliver_retry = ["ESME_RTHROTLED"]',
            BANK + '.deliver_retry[0]: "ESME_RTHROTLED" is no command_status of an error, such as '
            '"ESME_RTHROTTLED"',
        ),
        (
            CALLBACK_ACCOUNT + 'receipts = "pol"',
            BANK + '.receipts: must be one of "callback", "poll", "both", "off", did you mean '
            '"poll"?',
        ),
        (ACCOUNT + "receipt_text = 21", BANK + ".receipt_text: must be at most 20 (found 21)"),
        (ACCOUNT + "receipt_delay = -1", BANK + ".receipt_delay: must be at least 0.0 (found -1)"),
        ("[smpp]\nlisten = 2775\n", 'smpp.listen: must be text in quotes, such as "..."'),
        ("[smpp]\nlisten = x\n", "line 2: not valid TOML: Invalid value; text needs quotes"),
        ("[smpp", "line 1: not valid TOML: Expected ']' at the end of a table declaration"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str, line: str) -> None:
    assert problems(write(tmp_path, text)) == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            ACCOUNT,
            "omnichannel.username: is required, with password or password_file: these accounts "
            'have no API credentials of their own: "bank"',
        ),
        (
            '[omnichannel]\nusername = "u"\n' + ACCOUNT,
            "omnichannel.password: is required: give password or password_file",
        ),
        (
            '[omnichannel]\npassword = "p"\n' + ACCOUNT,
            "omnichannel.username: is required: the API user that the password is for",
        ),
        (
            API + ACCOUNT + 'username = "own"',
            'accounts[0] "bank".api_password: is required beside username: give api_password or '
            "api_password_file",
        ),
        (
            API + ACCOUNT + 'api_password = "own"',
            'accounts[0] "bank".username: is required beside api_password: the API user it is for',
        ),
        (
            API + '[[accounts]]\nsystem_id = "a"\npassword_hash = "$2b$12$abc"',
            'accounts[0] "a".password_hash: is not an argon2id hash: make one with '
            '"smpp-gateway hash-password"',
        ),
        (
            API + f'[[accounts]]\nsystem_id = "a"\npassword_hash = "{HASH.replace("2id", "2i")}"',
            'accounts[0] "a".password_hash: is not an argon2id hash: make one with '
            '"smpp-gateway hash-password"',
        ),
        (
            API + f'[[accounts]]\nsystem_id = "a"\npassword = "{HASH}"',
            'accounts[0] "a".password: holds a hash: write it as password_hash',
        ),
        (
            API + '[omnichannel.status_overrides]\n"400 [sender]" = "ESME_RINVSRCADDR"',
            'omnichannel.status_overrides."400 [sender]": "ESME_RINVSRCADDR" is no '
            'command_status, did you mean "ESME_RINVSRCADR"?',
        ),
        (
            API + '[omnichannel.status_overrides]\n"429" = "ESME_ROK"',
            "omnichannel.status_overrides.429: an error of the API cannot be answered with "
            "ESME_ROK",
        ),
        (
            API + CALLBACKS.replace('listen = "0.0.0.0:8081"\n', ""),
            "callbacks.listen: is required beside public_url: nothing would take the callbacks",
        ),
        (
            API + '[callbacks]\nlisten = "0.0.0.0:8081"\n',
            "callbacks.public_url: is required beside listen and key_file: the address that the "
            "API calls",
        ),
        (
            API + CALLBACKS.replace('key_file = "keys"\n', ""),
            'callbacks.key_file: is required beside public_url: make it with "smpp-gateway '
            'callback-keys add FILE"',
        ),
        (
            API + CALLBACKS + 'tls_key = "key.pem"',
            "callbacks.tls_certificate: is required beside tls_key",
        ),
        (
            API + CALLBACKS + 'tls_certificate = "cert.pem"',
            "callbacks.tls_key: is required beside tls_certificate",
        ),
        (
            API + '[smpp]\ntls_listen = "0.0.0.0:3550"\ntls_certificate = "cert.pem"',
            "smpp.tls_key: is required beside tls_certificate",
        ),
        (
            API + TLS.replace('tls_certificate = "cert.pem"\n', ""),
            "smpp.tls_certificate: is required beside tls_key",
        ),
        (
            API + '[admin]\ntls_certificate = "cert.pem"',
            "admin.tls_key: is required beside tls_certificate",
        ),
        (
            API + TLS + "tls_client_required = true",
            "smpp.tls_client_ca: is required beside tls_client_required: whose certificates are "
            "taken, in PEM",
        ),
        (
            API + TLS + ACCOUNT + 'tls_client_names = ["bank.example.com"]',
            f"{BANK}.tls_client_names: needs smpp.tls_client_ca: without that no client can show "
            "a certificate, nor bind",
        ),
        (
            API + ACCOUNT + 'tls_client_names = ["bank.example.com"]',
            f"{BANK}.tls_client_names: needs smpp.tls_listen and smpp.tls_client_ca: without that "
            "no client can show a certificate, nor bind",
        ),
        (
            API + TLS + '[admin]\nlisten = "0.0.0.0:3550"',
            "admin.listen: 0.0.0.0:3550 is taken by smpp.tls_listen",
        ),
        (
            API + CALLBACKS + '[smpp]\nlisten = "0.0.0.0:8081"',
            "callbacks.listen: 0.0.0.0:8081 is taken by smpp.listen",
        ),
        (
            API + "poll_first = 60\npoll_longest = 30",
            "omnichannel.poll_longest: must not be less than poll_first",
        ),
        (
            API + '[admin]\nlisten = "0.0.0.0:2775"',
            "admin.listen: 0.0.0.0:2775 is taken by smpp.listen",
        ),
    ],
)
def test_keys_that_must_agree(tmp_path: Path, text: str, line: str) -> None:
    assert problems(write(tmp_path, text)) == [line]


def test_a_certificate_of_clients_means_nothing_without_a_pair_of_ones_own(tmp_path: Path) -> None:
    """Over plain HTTP everybody would be let in that should show one."""
    for text in ('[admin]\ntls_client_ca = "ca.pem"\n', '[smpp]\ntls_listen = "0.0.0.0:3550"\n'):
        section = "admin" if "admin" in text else "smpp"
        beside = "tls_client_ca" if section == "admin" else "tls_listen"
        assert problems(write(tmp_path, API + text)) == [
            f"{section}.tls_certificate: is required beside {beside}",
            f"{section}.tls_key: is required beside {beside}",
        ]
        load(write(tmp_path, API + text + PAIR), {})


def test_overrides_of_reports_are_read(tmp_path: Path) -> None:
    table = '[omnichannel.report_overrides]\n"UNDELIV 3" = "REJECTD 003"\n'
    assert load(write(tmp_path, API + table), {}).omnichannel.report_overrides
    (line,) = problems(write(tmp_path, API + table + '"FAILED" = "REJECTED"'))
    assert line.startswith("omnichannel.report_overrides.FAILED: ")


def test_the_longest_dlr_url_must_fit(tmp_path: Path) -> None:
    """Of all accounts that the API calls for."""

    def with_path(length: int) -> str:
        url = "https://gw.example.com/" + "p" * (length - len("https://gw.example.com/"))
        other = CALLBACK_ACCOUNT.replace('"bank"', '"a-much-longer-name"')
        text = CALLBACKS.replace("https://gw.example.com", url)
        return API + text + CALLBACK_ACCOUNT + other + "receipt_text = 20\n"

    fits = LONGEST_URL - len("/dlr/") - longest_token(len("a-much-longer-name"), 20)
    load(write(tmp_path, with_path(fits)), {})
    assert problems(write(tmp_path, with_path(fits + 2))) == [
        "callbacks.public_url: is 2 characters too long: with all that a receipt of account "
        '"a-much-longer-name" may need, the dlr_url has 257, and 255 are safe'
    ]
    polled = with_path(fits + 2) + POLL
    load(write(tmp_path, polled), {})


def test_accounts_with_credentials_of_their_own_need_no_shared_ones(tmp_path: Path) -> None:
    text = ACCOUNT + 'username = "own"\napi_password = "pw"\n'
    account = load(write(tmp_path, text), {}).accounts[0]
    assert (account.username, account.api_password.get_secret_value()) == ("own", "pw")


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[smpp]\na = 1\nb = 2\n[log]\nlevel = 'x'\n" + ACCOUNT + "window = 0")
    assert len(problems(path, SMPPGW_X__Y="1")) == 5


def test_no_secret_in_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "[omnichannel]\npassword = 31337\nproxy = 'ftp://u:31337@h'\n")
    assert "31337" not in "\n".join(problems(path))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == ["cannot be read: No such file or directory"]
    path = tmp_path / "gw.toml"
    path.write_bytes(b'[smpp]\nlisten = "\xff"\n')
    assert problems(path) == ["line 2: is not UTF-8"]
    path.write_bytes(b"\xef\xbb\xbf" + API.encode())  # Windows editors begin a file so
    assert load(path, {}).omnichannel.username == "u"


def test_the_environment_overrides(tmp_path: Path) -> None:
    environ = {
        "SMPPGW_SMPP__LISTEN": "127.0.0.1:0",
        "SMPPGW_SMPP__MAX_PDU": "4096",
        "SMPPGW_OMNICHANNEL__HTTP2": "false",
        "SMPPGW_OMNICHANNEL__STATUS_OVERRIDES__105": "ESME_RSYSERR",
        "SMPPGW_ACCOUNTS__0__RESPONSE_DEADLINE": "2.5",
        "SMPPGW_ACCOUNTS__0__ALLOW": "192.0.2.1,192.0.2.2",
        "SMPPGW_ACCOUNTS__1__PASSWORD_HASH": HASH,
        "SMPPGW_ACCOUNTS__1__SYSTEM_ID": "0123",
        "SMPPGW_SEND_PASSWORD": "for the send verb",
        "SMPPGW_PORT": "tcp://10.0.0.1:2775",
        "SMPPGW_PORT_2775_TCP_ADDR": "10.0.0.1",
        "SMPPGW_ADMIN_SERVICE_HOST": "10.0.0.1",
        "SMPPGW_SERVICE_PORT_SMPP": "2775",
        "PATH": "/bin",
    }
    settings = load(write(tmp_path, API + ACCOUNT), environ)
    assert settings.smpp.listen == "127.0.0.1:0"
    assert settings.smpp.max_pdu == 4096
    assert settings.omnichannel.http2 is False
    assert settings.omnichannel.status_overrides == {"105": "ESME_RSYSERR"}
    assert settings.accounts[0].response_deadline == 2.5
    assert len(settings.accounts[0].allow) == 2
    assert settings.accounts[1].system_id == "0123"


def test_ten_accounts_from_the_environment(tmp_path: Path) -> None:
    environ = {f"SMPPGW_ACCOUNTS__{i}__SYSTEM_ID": f"a{i}" for i in range(11)}
    environ |= {f"SMPPGW_ACCOUNTS__{i}__PASSWORD_HASH": HASH for i in range(11)}
    accounts = load(write(tmp_path, API), environ).accounts
    assert [account.system_id for account in accounts] == [f"a{i}" for i in range(11)]


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "SMPPGW_OMNICHANEL__USERNAME",
            "x",
            "unknown setting, did you mean SMPPGW_OMNICHANNEL__USERNAME?",
        ),
        ("SMPPGW_SMPP_LISTEN", "x", "unknown setting, did you mean SMPPGW_SMPP__LISTEN?"),
        ("SMPPGW_SMPP__LISTE", "x", "unknown setting, did you mean SMPPGW_SMPP__LISTEN?"),
        (
            "SMPPGW_ACCOUNTS__0__MAX_BIND",
            "1",
            "unknown setting, did you mean SMPPGW_ACCOUNTS__0__MAX_BINDS?",
        ),
        ("SMPPGW_QQQQ", "x", "unknown setting"),
        ("SMPPGW_SMPP", "x", "names a whole table, add __ and a key"),
        ("SMPPGW_ACCOUNTS__0", "x", "names a whole table, add __ and a key"),
        ("SMPPGW_OMNICHANNEL__STATUS_OVERRIDES", "x", "names a whole table, add __ and a key"),
        (
            "SMPPGW_ACCOUNTS__0__ALLOW__0",
            "x",
            "allow has nothing below it; write a list as words with commas",
        ),
        ("SMPPGW_ACCOUNTS__7__WINDOW", "1", "the next account to add has the number 1"),
        (
            "SMPPGW_ACCOUNTS__BANK__WINDOW",
            "1",
            "after ACCOUNTS comes a number, as in SMPPGW_ACCOUNTS__0__MAX_BINDS",
        ),
        (
            "SMPPGW_ACCOUNTS__0__WINDOW",
            "x",
            'accounts[0] "bank".window: must be a whole number',
        ),
        (
            "SMPPGW_LOG__LEVEL",
            "loud",
            'log.level: must be one of "debug", "info", "warning", "error"',
        ),
    ],
)
def test_faults_of_the_environment(tmp_path: Path, name: str, value: str, line: str) -> None:
    path = write(tmp_path, API + ACCOUNT)
    assert problems(path, **{name: value}) == [f"environment {name}: {line}"]


@pytest.mark.parametrize("content", ["s3 cret", "s3 cret\n", "s3 cret\r\n"])
def test_secret_files(tmp_path: Path, content: str) -> None:
    (tmp_path / "pw").write_text(content, newline="")
    text = (
        '[omnichannel]\nusername = "u"\npassword_file = "pw"\n'
        '[[accounts]]\nsystem_id = "a"\npassword_file = "pw"\n'
        'username = "o"\napi_password_file = "pw"\n' + POLL
    )
    settings = load(write(tmp_path, text), {})
    assert settings.omnichannel.password.get_secret_value() == "s3 cret"
    assert settings.accounts[0].password.get_secret_value() == "s3 cret"
    assert settings.accounts[0].api_password.get_secret_value() == "s3 cret"
    assert warnings(settings) == []


def test_only_one_newline_is_stripped(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n\n")
    path = write(tmp_path, '[omnichannel]\nusername = "u"\npassword_file = "pw"\n')
    assert problems(path) == [
        "omnichannel.password_file: pw has more than one line: a secret is one line"
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text: is it the right file?"),
        (b"x" * 5000, "has more than 4096 octets: is it the right file?"),
    ],
)
def test_faults_of_secret_files(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "pw").write_bytes(content)
    path = write(tmp_path, '[omnichannel]\nusername = "u"\npassword_file = "pw"\n')
    assert problems(path) == [f"omnichannel.password_file: pw {words}"]


def test_a_secret_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("x")
    path = write(tmp_path, API + ACCOUNT)
    environ = {"SMPPGW_OMNICHANNEL__PASSWORD_FILE": "pw"}
    assert problems(path, **environ) == [
        "environment SMPPGW_OMNICHANNEL__PASSWORD_FILE: omnichannel.password_file: password is "
        "given too: keep one of the two"
    ]
    environ["SMPPGW_OMNICHANNEL__PASSWORD"] = ""
    assert load(path, environ).omnichannel.password.get_secret_value() == "x"


def test_files_are_found_beside_the_file(tmp_path: Path) -> None:
    tls = 'tls_certificate = "cert.pem"\ntls_key = "/etc/key.pem"\n'
    settings = load(write(tmp_path, API + 'ca_file = "ca.pem"\n' + CALLBACKS + tls), {})
    assert settings.omnichannel.ca_file == str(tmp_path / "ca.pem")
    assert settings.callbacks.key_file == str(tmp_path / "keys")
    assert settings.callbacks.tls_certificate == str(tmp_path / "cert.pem")
    assert settings.callbacks.tls_key == "/etc/key.pem"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (API, "accounts: there are none, so nobody can bind"),
        (
            API + f'[[accounts]]\nsystem_id = "a"\npassword = "x"\n{POLL}',
            'accounts[0] "a".password: stands in the clear; prefer password_hash '
            "(smpp-gateway hash-password)",
        ),
        (
            API + 'base_url = "https://api.messente.com"\n' + ACCOUNT,
            "omnichannel.base_url: the API's path is /v1, as in https://api.messente.com/v1",
        ),
        (
            API + 'engine = "requests"\nhttp2 = true\n' + ACCOUNT,
            "omnichannel.http2: the requests engine speaks HTTP/1.1 only",
        ),
        (
            API + ACCOUNT + "throttle_burst = 5",
            'accounts[0] "bank".throttle_burst: does nothing without throttle',
        ),
        (
            API + ACCOUNT + "response_deadline = 5",
            'accounts[0] "bank".response_deadline: is not longer than '
            "omnichannel.connect_timeout, so a slow connection uses it up",
        ),
        (
            API + '[sandbox]\nlisten = "127.0.0.1:8085"\n' + ACCOUNT,
            "sandbox.listen: the sandbox runs, but omnichannel.base_url points elsewhere",
        ),
        (
            API + CALLBACK_ACCOUNT + CALLBACK_ACCOUNT.replace("bank", "shop") + 'receipts = "off"',
            'accounts: receipts that "bank" ask for will never come: configure [callbacks], or '
            'write receipts = "poll" (or "off")',
        ),
        (
            API + CALLBACK_ACCOUNT + 'receipts = "both"',
            'accounts[0] "bank".receipts: "both" without [callbacks] asks late: write "poll"',
        ),
        (
            API + CALLBACKS + CALLBACK_ACCOUNT + 'synthetic_expired = true\nreceipts = "off"',
            'accounts[0] "bank".synthetic_expired: does nothing with receipts = "off"',
        ),
        (
            API + '[smpp]\nlisten = ""\n' + ACCOUNT,
            "smpp.listen: is empty, and tls_listen too, so nobody can connect",
        ),
        (
            API + "[smpp]\n" + PAIR + ACCOUNT,
            "smpp.tls_certificate: does nothing without tls_listen",
        ),
        (
            API + '[admin]\nlisten = ""\n' + PAIR + ACCOUNT,
            "admin.tls_certificate: does nothing without listen",
        ),
        (
            API + '[smpp]\ntls_client_ca = "ca.pem"\n' + ACCOUNT,
            "smpp.tls_client_ca: does nothing without tls_listen",
        ),
        (
            API + '[smpp]\ntls_allow = ["192.0.2.0/24"]\n' + ACCOUNT,
            "smpp.tls_allow: does nothing without tls_listen",
        ),
        (
            API + TLS + 'listen = ""\nallow = ["192.0.2.0/24"]\n' + ACCOUNT,
            "smpp.allow: is for listen, which is empty; who may use tls_listen stands in tls_allow",
        ),
        (
            API + '[smpp]\nproxy_protocol = ["192.0.2.1", "::/0"]\n' + ACCOUNT,
            "smpp.proxy_protocol: names the whole Internet, so any client can make up its "
            "address: name the balancers only",
        ),
        (
            API + "[smpp]\nmax_connections = 5\nmax_connections_per_address = 6\n" + ACCOUNT,
            "smpp.max_connections_per_address: does nothing above max_connections",
        ),
        (
            API + "[smpp]\nlockout_failures = 0\nlockout_time = 6\n" + ACCOUNT,
            "smpp.lockout_time: does nothing with lockout_failures = 0",
        ),
        (
            API + "[smpp]\nmax_pdu = 1000\nmax_pdu_before_bind = 1001\n" + ACCOUNT,
            "smpp.max_pdu_before_bind: is above max_pdu, so a bind may be larger than a message",
        ),
        (
            API + "[smpp]\nmax_connections = 3\n" + ACCOUNT,
            BANK + ".max_binds: is above smpp.max_connections, which is 3",
        ),
        (
            API + ACCOUNT + "max_in_flight = 401\n",
            BANK + ".max_in_flight: does nothing, for max_binds times window is 400",
        ),
        (
            API + "[smpp]\nmax_in_flight = 300\n" + ACCOUNT + "max_in_flight = 301\n",
            BANK + ".max_in_flight: is above smpp.max_in_flight, which is 300",
        ),
        (
            API + "[smpp]\nmax_in_flight = 399\n" + ACCOUNT,
            BANK + ".window: times max_binds is 400, above smpp.max_in_flight, so this account "
            "can take up what all share: lower it, or set max_in_flight",
        ),
        (
            API + "fail_fast_after = 10\n" + ACCOUNT,
            BANK + ".response_deadline: is not longer than omnichannel.fail_fast_after, so its "
            "messages wait in vain while the API cannot be reached",
        ),
        (
            API + "fail_fast_after = 0\nprobe_interval = 2\n" + ACCOUNT,
            "omnichannel.probe_interval: does nothing with fail_fast_after = 0",
        ),
        *(
            (API + f"rate_limit = 0\n{key} = 100000\n" + ACCOUNT, f"omnichannel.{words}")
            for key, words in (
                ("rate_burst", "rate_burst: does nothing with rate_limit = 0"),
                ("bulk_octets", "bulk_octets: does nothing with rate_limit = 0"),
                ("max_waiting", "max_waiting: does nothing with rate_limit = 0"),
                ("max_waiting_octets", "max_waiting_octets: does nothing with rate_limit = 0"),
            )
        ),
        (
            API + "rate_limit = 0\nbulk_max = 100\n" + ACCOUNT,
            "omnichannel.bulk_max: does nothing with rate_limit = 0",
        ),
        (
            API + 'bulk = "off"\nbulk_max = 100\n' + ACCOUNT,
            'omnichannel.bulk_max: does nothing with bulk = "off"',
        ),
        (
            API + 'bulk = "off"\nbulk_octets = 2000\n' + ACCOUNT,
            'omnichannel.bulk_octets: does nothing with bulk = "off"',
        ),
        (
            API + "rate_burst = 151\n" + ACCOUNT,
            "omnichannel.rate_burst: is above rate_limit, which is 150 and bounds it",
        ),
        (
            API + "rate_limit = 19.5\n" + ACCOUNT,
            "omnichannel.poll_rate: is above rate_limit, which is 19.5 and holds for these "
            "questions too: they may take every other request, and many come too late",
        ),
        (
            API + INSIDE + "[sandbox]\nlisten = '127.0.0.1:8085'\nrate_limit = 149\n" + ACCOUNT,
            "sandbox.rate_limit: is below omnichannel.rate_limit, so the sandbox answers 429 to "
            "what the gateway takes for allowed",
        ),
        (
            API + CALLBACKS + "require_signature = false\n" + CALLBACK_ACCOUNT,
            "callbacks.require_signature: IS OFF, so whoever learns a dlr_url can make up receipts",
        ),
        (
            API + 'base_url = "http://127.0.0.1:8085/v1"\n' + TRIAL + CALLBACK_ACCOUNT,
            "callbacks.key_file: without it the keys live in memory, so reports on messages "
            "sent before a restart cannot be read",
        ),
        (
            API + TRIAL + 'key_file = "keys"\n' + CALLBACK_ACCOUNT,
            "callbacks.public_url: is a loopback address, which the API cannot call",
        ),
        *(
            (
                API + text,
                'accounts[0] "bank".response_deadline: is longer than drain.timeout, so a stop '
                "may end before the last answers",
            )
            for text in (
                ACCOUNT + "response_deadline = 20.5",
                "[drain]\ntimeout = 9.9\n" + ACCOUNT,
            )
        ),
    ],
)
def test_warnings(tmp_path: Path, text: str, line: str) -> None:
    assert warnings(load(write(tmp_path, text), {})) == [line]


def test_callbacks_as_they_should_be_are_no_warning(tmp_path: Path) -> None:
    text = API + CALLBACKS + CALLBACK_ACCOUNT
    for extra in ("", "synthetic_expired = true"):
        assert warnings(load(write(tmp_path, text + extra), {})) == []


def test_listeners_as_they_should_be_are_no_warning(tmp_path: Path) -> None:
    names = 'tls_client_names = ["bank.example.com"]\nmax_in_flight = 400\n'
    for text in (
        "",
        TLS + 'tls_client_ca = "ca.pem"\nlisten = ""\ntls_allow = ["192.0.2.0/24"]\n',
        TLS + 'tls_client_ca = "ca.pem"\nallow = ["127.0.0.1"]\nproxy_protocol = ["192.0.2.1"]\n',
        "[smpp]\nmax_connections = 5\nlockout_failures = 0\nmax_in_flight = 400\n",
        f'[admin]\ntls_client_ca = "ca.pem"\n{PAIR}',
    ):
        account = ACCOUNT + names * ("tls_client_ca" in text and "smpp" in text)
        assert warnings(load(write(tmp_path, API + text + account), {})) == []


def test_a_pace_as_it_should_be_is_no_warning(tmp_path: Path) -> None:
    for text in (
        "rate_limit = 20\nrate_burst = 20\nbulk = 'auto'\nbulk_max = 100\nmax_waiting = 20000\n",
        "rate_limit = 0\nbulk = 'off'\npoll_rate = 500\n",
        "rate_limit = 5\npoll_rate = 5\n",  # the burst of the defaults is above it
        "rate_limit = 10\n[[accounts]]\nreceipts = 'off'\n",
        INSIDE + "[sandbox]\nlisten = '127.0.0.1:8085'\n",
        INSIDE + "rate_limit = 200\n[sandbox]\nlisten = '127.0.0.1:8085'\nrate_limit = 0\n",
        INSIDE + "rate_limit = 0\n[sandbox]\nlisten = '127.0.0.1:8085'\nrate_limit = 5\n",
    ):
        table, _, account = (API + text).partition("[[accounts]]\n")
        given = ACCOUNT.replace(POLL, account or POLL)
        assert warnings(load(write(tmp_path, table + given), {})) == []


def test_a_deadline_of_just_the_drain_is_no_warning(tmp_path: Path) -> None:
    text = "[drain]\ndelay = 5\ntimeout = 12\n" + API + ACCOUNT + "response_deadline = 12"
    settings = load(write(tmp_path, text), {"SMPPGW_DRAIN__DELAY": "7.5"})
    assert settings.drain.delay == 7.5
    assert warnings(settings) == []
