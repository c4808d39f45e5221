"""SIGHUP: the configuration read anew by a gateway that goes on working."""

from __future__ import annotations

import time
from signal import SIGHUP

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, Daemon, until
from tests.e2e.raw_esme import RESP, RawEsme, pdu

SHOP = f"""
[[accounts]]
system_id = "shop"
password_hash = "{DEMO_HASH}"
default_sender = "Shop"
"""
HANGS = "37255509000"


def reload(daemon: Daemon, old: str = "", new: str = "") -> None:
    """Write the file and have it read; returns when the daemon says what became of it."""
    if old:
        daemon.rewrite(old, new)
    said = len(daemon.events("config_reloaded")) + len(daemon.events("config_reload_refused"))
    daemon.kill(SIGHUP)
    until(
        lambda: (
            len(daemon.events("config_reloaded")) + len(daemon.events("config_reload_refused"))
            > said
        ),
        "the reload",
    )


def test_accounts_come_change_and_go() -> None:
    with Daemon(accounts=ACCOUNT + SHOP) as daemon:
        with (
            RawEsme(daemon.port) as demo,
            RawEsme(daemon.port) as shop,
            RawEsme(daemon.port) as bank,
        ):
            assert demo.bind().ask(wire.submit(1)).status == wire.ROK
            shop.bind(system_id="shop")
            # A throttle for who stays, a new name for who comes, and who is gone is unbound.
            bank_account = SHOP.replace("shop", "bank").replace("Shop", "Bank")
            daemon.rewrite(SHOP, bank_account)
            reload(daemon, "max_binds = 1000", "max_binds = 1000\nthrottle = 1")
            (line,) = daemon.events("config_reloaded")
            assert line["changed"] == [
                'account "demo" throttle',
                'account "shop" removed',
                'account "bank" added',
            ]
            assert line["sessions_ended"] == 1
            unbind = shop.expect()
            assert unbind.command_id == wire.UNBIND
            shop.send(pdu(wire.UNBIND | RESP, unbind.sequence))
            assert shop.rest() == []
            assert bank.bind(system_id="bank").ask(wire.submit(2)).status == wire.ROK
            assert [demo.ask(wire.submit(n)).status for n in (3, 4)] == [wire.ROK, wire.RTHROTTLED]
        with RawEsme(daemon.port) as gone:
            refused = gone.ask(pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body("shop")))
            assert refused.status == wire.RINVPASWD
        assert daemon.metric("smppgw_config_last_reload_successful") == 1
        assert abs(daemon.metric("smppgw_config_last_reload_timestamp_seconds") - time.time()) < 60
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_a_disabled_account_is_unbound_after_its_answers() -> None:
    with Daemon(sandbox="rate_limit = 0\nlatency = 0.5") as daemon:
        with RawEsme(daemon.port) as client:
            client.bind().send(wire.submit(1))
            until(lambda: daemon.metric("smppgw_submits_in_flight") == 1, "the submit")
            reload(daemon, "max_binds = 1000", "enabled = false")
            late = client.ask(wire.submit(2))
            assert (late.sequence, late.status) == (2, wire.RMSGQFUL)
            assert (answer := client.expect()).sequence == 1
            assert answer.status == wire.ROK
            assert client.expect().command_id == wire.UNBIND
        with RawEsme(daemon.port) as again:
            refused = again.ask(pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body()))
            assert refused.status == wire.RBINDFAIL
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_a_bad_file_changes_nothing() -> None:
    with Daemon() as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            reload(daemon, "max_binds = 1000", "max_bindz = 1\nthrottle = 1")
            (line,) = daemon.events("config_reload_refused")
            assert line["detail"].endswith(
                'accounts[0] "demo".max_bindz: unknown key, did you mean "max_binds"?'
            )
            assert daemon.metric("smppgw_config_last_reload_successful") == 0
            assert [client.ask(wire.submit(n)).status for n in (1, 2, 3)] == [wire.ROK] * 3
            assert daemon.admin("/readyz")[0] == 200
            reload(daemon, "max_bindz = 1", "max_binds = 9")
            assert daemon.metric("smppgw_config_last_reload_successful") == 1
            assert [client.ask(wire.submit(n)).status for n in (4, 5)] == [
                wire.ROK,
                wire.RTHROTTLED,
            ]
        assert daemon.stop() == 0


def test_listeners_and_the_store_stay_as_they_are() -> None:
    """With all else that the file has: a reload is taken whole or not at all."""
    with Daemon() as daemon:
        daemon.rewrite("max_binds = 1000", "max_binds = 1000\nthrottle = 1")
        daemon.rewrite("[admin]\nlisten", "[store]\nmax_parts = 7\n[admin]\nlisten")
        reload(daemon, '[smpp]\nlisten = "127.0.0.1:0"', '[smpp]\nlisten = "127.0.0.1:1"')
        details = [line["detail"] for line in daemon.events("config_reload_refused")]
        assert [detail.partition("gateway.toml: ")[2] for detail in details] == [
            "smpp.listen: changes with a restart only",
            "store.max_parts: changes with a restart only",
        ]
        with RawEsme(daemon.port) as client:
            client.bind()
            assert [client.ask(wire.submit(n)).status for n in (1, 2)] == [wire.ROK] * 2
        assert daemon.stop() == 0


def test_a_password_and_the_log_change_while_a_session_lives() -> None:
    known = 'password = "another"'
    with Daemon(more='[log]\nlevel = "info"') as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            reload_quietly(daemon, 'level = "info"', 'level = "warning"')
            assert client.ask(wire.submit(1)).status == wire.ROK
            daemon.rewrite(f'password_hash = "{DEMO_HASH}"', known)
            reload_quietly(daemon, 'level = "warning"', 'level = "info"')
            assert client.ask(wire.submit(2)).status == wire.ROK
            daemon.event("message_relayed", sequence_number=2)
            assert daemon.events("message_relayed", sequence_number=1) == []
        with RawEsme(daemon.port) as old:
            refused = old.ask(pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body()))
            assert refused.status == wire.RINVPASWD
        with RawEsme(daemon.port) as new:
            new.bind(password="another")
        reload(daemon, 'level = "info"', 'level = "info"\nmessages = false')
        with RawEsme(daemon.port) as new:
            assert new.bind(password="another").ask(wire.submit(3)).status == wire.ROK
        assert daemon.stop() == 0
        assert daemon.events("message_relayed", sequence_number=3) == []
        assert "another" not in daemon.output()


def reload_quietly(daemon: Daemon, old: str, new: str) -> None:
    """A reload of a daemon that logs warnings only: the metric tells."""
    stamp = "smppgw_config_last_reload_timestamp_seconds"
    before = daemon.metric(stamp)
    daemon.rewrite(old, new)
    daemon.kill(SIGHUP)
    until(lambda: daemon.metric(stamp) > before, "the reload")


def test_the_apis_words_and_credentials_follow() -> None:
    refused = "37255500400"  # the sandbox's 400
    with Daemon() as daemon:
        with RawEsme(daemon.port) as client:
            before = client.bind().ask(wire.submit(1, refused)).status
            assert before not in (wire.ROK, wire.RMSGQFUL)
            overrides = 'username = "api-user"\nstatus_overrides = {"400" = "ESME_RMSGQFUL"}'
            reload(daemon, 'username = "api-user"', overrides)
            assert client.ask(wire.submit(2, refused)).status == wire.RMSGQFUL
            assert client.ask(wire.submit(3)).status == wire.ROK
            reload(daemon, 'password = "api-Geheim-7391"', 'password = "wrong"')
            assert client.ask(wire.submit(4)).status != wire.ROK
            assert daemon.events("message_refused", sequence_number=4)[0]["http_status"] == 401
        assert daemon.stop() == 0


def test_two_signals_at_once_are_two_reloads_at_most_and_none_is_lost() -> None:
    with Daemon() as daemon:
        daemon.rewrite("max_binds = 1000", "max_binds = 7")
        for _ in range(3):
            daemon.kill(SIGHUP)
        daemon.event("config_reloaded", changed=['account "demo" max_binds'])
        daemon.rewrite("max_binds = 7", "max_binds = 8")
        daemon.kill(SIGHUP)
        until(
            lambda: (
                daemon.events("config_reloaded")[-1]["changed"] == ['account "demo" max_binds']
                and len(daemon.events("config_reloaded")) > 1
            ),
            "the last file",
        )
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
