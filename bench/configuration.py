"""The configuration of a measured gateway."""

from __future__ import annotations

SYSTEM_ID = PASSWORD = "bench"
OTHER = "other"  # system_id of the second account

# Only keys that every version knows: it also goes to old revisions. A store that is not
# configured stands beside the configuration.
CONFIGURATION = """\
[smpp]
listen = "127.0.0.1:{smpp_port}"
{smpp}
[omnichannel]
base_url = "{base_url}"
ca_file = "{ca_file}"
username = "bench"
password = "bench"
engine = "{engine}"
{api}
[admin]
listen = "127.0.0.1:{admin_port}"

[log]
format = "json"
messages = {messages}
{callbacks}{store}
[[accounts]]
system_id = "bench"
password_hash = "{password_hash}"
max_binds = {max_binds}
window = 1000
response_deadline = 60
{account}"""
STORE_FILE = "gateway.db"
STORE = f"""
[store]
url = "sqlite:///{STORE_FILE}"
max_parts = 1000000
"""
CALLBACKS = """
[callbacks]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
key_file = "callback-keys"
"""
PARTS_ACCOUNT = "reassembly_timeout = 3600\n"
RECEIPTS_ACCOUNT = "deliver_window = 100\n"
# With the API credentials of the first, so that they wait in one queue.
SECOND_ACCOUNT = f"""
[[accounts]]
system_id = "{OTHER}"
password_hash = "{{password_hash}}"
response_deadline = 60
"""
MAX_BINDS = 2_000


def configuration(
    *,
    parts: bool = False,
    callback_port: int = 0,
    smpp: str = "",
    api: str = "",
    max_binds: int = MAX_BINDS,
    second: bool = False,
    **values: object,
) -> str:
    """Give the text of a configuration.

    With `parts`, its store may hold a million of them. With `callback_port`, the API reports
    there, and receipts are delivered with a window of 100. `smpp` and `api` are further lines of
    their tables, which an old revision may not know. With `second` there is an account OTHER.
    """
    return (CONFIGURATION + (SECOND_ACCOUNT if second else "")).format(
        callbacks=CALLBACKS.format(port=callback_port) if callback_port else "",
        store=STORE if parts or callback_port else "",
        account=(PARTS_ACCOUNT if parts else "") + (RECEIPTS_ACCOUNT if callback_port else ""),
        smpp=smpp,
        api=api,
        max_binds=max_binds,
        **values,
    )
