"""The rules inside the channel objects that serve as fallback."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.sandbox.schema import Omnimessage, read_omnimessage

VIDEO = {"url": "v", "thumbnail": "t", "file_size": 200 * 1024 * 1024, "duration": 600}
CARD = {"title": "ab", "image_url": "i", "primary_button": {"label": "l", "action_url": "a"}}
TEMPLATE = {"name": "n", "language": {"code": "en"}, "components": []}
FILE = {"file_url": "f", "force_refresh": True}


def read(channel: str, **fields: Any) -> Omnimessage | list[tuple[str, str | None]]:
    part = {"channel": channel, **fields}
    outcome = read_omnimessage({"to": "+37255500001", "messages": [part]})
    if isinstance(outcome, Omnimessage):
        return outcome
    return [(error.code, error.source) for error in outcome]


@pytest.mark.parametrize(
    ("channel", "fields"),
    [
        ("viber", {"image_url": "i"}),
        ("viber", {"text": "x" * 1000, "sender": "Shop", "ttl": 60}),
        ("viber", {"text": "t", "button_url": "u", "button_text": "b"}),
        ("viber", {"text": "t", "image_url": "i", "button_url": "u", "button_text": "b"}),
        ("viber", {"video": VIDEO}),
        ("viber", {"video": VIDEO, "text": "t"}),
        ("viber", {"video": VIDEO, "text": "t", "button_text": "b"}),
        ("viber", {"video": VIDEO, "text": "t", "button_text": "b", "button_url": "u"}),
        ("viber", {"carousel": {"items": [CARD] * 2}, "text": "t"}),
        ("viber", {"carousel": {"items": [CARD] * 5}, "text": "t"}),
        ("viber", {"template": {"id": "1", "lang": "en", "params": {"name": "Ann"}}}),
        ("whatsapp", {"text": {"body": "b"}}),
        ("whatsapp", {"text": {"body": "b", "preview_url": False}, "validity": 5}),
        ("whatsapp", {"image": {"id": "1", "caption": "c"}}),
        ("whatsapp", {"document": {"link": "https://x", "filename": "f.pdf"}}),
        ("whatsapp", {"template": TEMPLATE}),
        (
            "whatsapp",
            {
                "template": {
                    **TEMPLATE,
                    "components": [
                        {"type": "button", "sub_type": "url", "index": None},
                        {"type": "body", "parameters": [{"type": "text", "text": "t"}]},
                    ],
                }
            },
        ),
        ("rcs", {"sender": "Agent", "text": "x" * 3072}),
        ("rcs", {"sender": "Agent", "text": "t", "suggestions": [{"reply": {}}] * 11}),
        ("rcs", {"sender": "Agent", "rich_card": {"standalone_card": {}}}),
        ("rcs", {"sender": "Agent", "content_info": FILE}),
    ],
)
def test_accepted(channel: str, fields: dict[str, Any]) -> None:
    assert isinstance(outcome := read(channel, **fields), Omnimessage), outcome
    assert outcome.messages[0].channel == channel


@pytest.mark.parametrize(
    ("channel", "fields", "code", "source"),
    [
        ("viber", {}, "106", "payload[viber][text]"),
        ("viber", {"text": "x" * 1001}, "105", "payload[viber][text]"),
        ("viber", {"text": "t", "image_url": "i"}, "105", "payload[viber]"),
        ("viber", {"text": "t", "button_url": "u"}, "105", "payload[viber]"),
        ("viber", {"image_url": "i", "video": VIDEO}, "105", "payload[viber]"),
        ("viber", {"carousel": {"items": [CARD] * 2}}, "105", "payload[viber]"),
        ("viber", {"text": "t", "ttl": 1, "validity": 1}, "105", "payload[viber][ttl]"),
        ("viber", {"video": {**VIDEO, "duration": 601}}, "105", "payload[viber][video][duration]"),
        (
            "viber",
            {"video": {**VIDEO, "file_size": 200 * 1024 * 1024 + 1}},
            "105",
            "payload[viber][video][file_size]",
        ),
        ("viber", {"template": {"id": "1"}}, "106", "payload[viber][template][lang]"),
        (
            "viber",
            {"carousel": {"items": [CARD]}, "text": "t"},
            "105",
            "payload[viber][carousel][items]",
        ),
        (
            "viber",
            {"carousel": {"items": [CARD, {**CARD, "title": "a"}]}, "text": "t"},
            "105",
            "payload[viber][carousel][items][1][title]",
        ),
        ("whatsapp", {}, "106", "payload[whatsapp][template]"),
        ("whatsapp", {"text": "plain"}, "105", "payload[whatsapp][text]"),
        ("whatsapp", {"text": {}}, "106", "payload[whatsapp][text][body]"),
        ("whatsapp", {"image": {}}, "106", "payload[whatsapp][image][id]"),
        (
            "whatsapp",
            {"text": {"body": "b"}, "image": {"id": "1"}},
            "105",
            "payload[whatsapp][image]",
        ),
        (
            "whatsapp",
            {"template": {**TEMPLATE, "components": [{"index": 0}]}},
            "106",
            "payload[whatsapp][template][components][0][type]",
        ),
        ("rcs", {"text": "t"}, "106", "payload[rcs][sender]"),
        ("rcs", {"sender": "Agent"}, "106", "payload[rcs][text]"),
        ("rcs", {"sender": "Agent", "text": "x" * 3073}, "105", "payload[rcs][text]"),
        (
            "rcs",
            {"sender": "Agent", "text": "t", "content_info": FILE},
            "105",
            "payload[rcs][content_info]",
        ),
        (
            "rcs",
            {"sender": "Agent", "text": "t", "suggestions": [{"reply": {}}] * 12},
            "105",
            "payload[rcs][suggestions]",
        ),
        (
            "rcs",
            {"sender": "Agent", "text": "t", "suggestions": [{}]},
            "106",
            "payload[rcs][suggestions][0][reply]",
        ),
        (
            "rcs",
            {"sender": "Agent", "rich_card": {"standalone_card": {}, "carousel_card": {}}},
            "105",
            "payload[rcs][rich_card][carousel_card]",
        ),
    ],
)
def test_refused(channel: str, fields: dict[str, Any], code: str, source: str) -> None:
    assert read(channel, **fields) == [(code, source)]
