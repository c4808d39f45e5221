"""The settings of one account: who may bind, how it writes, and which receipts it gets."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from gateway.config_section import Section
from gateway.config_values import (
    Alphabet,
    BindTypes,
    DefaultMessages,
    Digits,
    Names,
    Networks,
    Priorities,
    Seconds,
    Statuses,
    Timezone,
    zone_of,
)
from gateway.smpp.message_id import Form


class AccountSettings(Section):
    """`[[accounts]]`: one ESME, who it is, what it may do and how it writes."""

    system_id: Annotated[str, Field(min_length=1, max_length=64)]
    password: SecretStr = SecretStr("")
    password_file: str = ""
    password_hash: Annotated[str, Field(repr=False)] = ""
    enabled: bool = True
    allow: Networks = ()
    tls_client_names: Names = ()
    bind_types: BindTypes = (
        "transmitter",
        "receiver",
        "transceiver",
    )
    max_binds: Annotated[int, Field(ge=1, le=10_000)] = 4
    throttle: Annotated[float, Field(ge=0, le=1_000_000)] = 0
    throttle_burst: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    max_in_flight: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    window: Annotated[int, Field(ge=1, le=10_000)] = 100
    window_full: Literal["pause", "throttle"] = "pause"
    response_deadline: Annotated[float, Field(ge=0.5, le=300)] = 10

    username: str = ""
    api_password: SecretStr = SecretStr("")
    api_password_file: str = ""

    default_alphabet: Alphabet = "gsm7"
    ascii_alphabet: Alphabet = "ascii"
    fallback_alphabet: Literal["", "ascii", "latin-1", "cp1252", "utf-8"] = ""
    undecodable: Literal["replace", "refuse"] = "replace"
    ucs2_little_endian: bool = False
    strip_nul: bool = False
    packed: bool = False
    text_twice: Literal["refuse", "short_message", "message_payload"] = "refuse"
    default_messages: DefaultMessages = Field(default_factory=dict)

    malformed_udh: Literal["accept", "refuse"] = "accept"
    long_messages: Literal["reassemble", "passthrough"] = "reassemble"
    reassembly_timeout: Seconds = 300
    relay_incomplete: bool = False

    message_id_format: Form = "uuid"
    receipt_id_format: Literal["", "uuid", "hex", "decimal"] = ""
    multi_all_failed: Literal["status", "list"] = "status"
    replace_if_present: Literal["best_effort", "refuse"] = "best_effort"

    receipts: Literal["callback", "poll", "both", "off"] = "callback"
    deliver_window: Annotated[int, Field(ge=1, le=10_000)] = 10
    deliver_retry: Statuses = (
        "ESME_RSYSERR",
        "ESME_RMSGQFUL",
        "ESME_RSUBMITFAIL",
        "ESME_RTHROTTLED",
        "ESME_RX_T_APPN",
        "ESME_RQUERYFAIL",
        "ESME_RDELIVERYFAILURE",
        "ESME_RUNKNOWNERR",
    )
    receipt_delay: Annotated[float, Field(ge=0, le=3600)] = 0.5
    unknown_held: Annotated[float, Field(ge=0, le=604_800)] = 3600
    receipt_text: Annotated[int, Field(ge=0, le=20)] = 0
    receipt_timezone: Timezone = "UTC"
    receipt_limit: Annotated[int, Field(ge=60, le=31_536_000)] = 259_200
    synthetic_expired: bool = False

    default_sender: str = ""
    country_prefix: Annotated[Digits, Field(max_length=4)] = ""
    trunk_prefix: Annotated[Digits, Field(max_length=2)] = "0"
    autoconvert: Literal["off", "on", "full"] = "off"
    priorities: Priorities = (
        "",
        "regular",
        "high",
        "high",
    )
    default_validity: Annotated[int, Field(ge=0, le=5_000_000)] = 0
    max_validity: Annotated[int, Field(ge=60, le=5_000_000)] = 604_800
    error_detail_tlv: bool = False

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        # The loader puts what password_file holds into password and keeps the file's name,
        # so these two together are one secret.
        given = [
            name
            for name, value in (
                ("password", self.password.get_secret_value() and not self.password_file),
                ("password_file", self.password_file),
                ("password_hash", self.password_hash),
            )
            if value
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"give exactly one of password_hash, password_file, password (found {found})"
            )
        return self

    @property
    def receipt_zone(self) -> tzinfo:
        """The zone of the times in this account's receipts."""
        return zone_of(self.receipt_timezone)
