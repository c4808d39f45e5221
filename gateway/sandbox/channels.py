"""The channel objects of a message: sms, viber, whatsapp, rcs, and the rules inside each.

Fields, types and limits are those of Messente's OpenAPI document 2.1.0 with the rules that
its descriptions state in prose. Objects deeper than these (RCS cards and suggested actions)
are accepted as any object.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr, model_validator

from gateway.sandbox.fields import Given, Hex, JsonObject, Positive, SmsSender, invalid, missing

VIBER_CONTENT = ("text", "image_url", "button_url", "button_text", "video", "carousel")
VIBER_COMBINATIONS = frozenset(
    frozenset(fields.split())
    for fields in (
        "image_url",
        "text",
        "text button_url button_text",
        "text image_url button_url button_text",
        "video",
        "video text",
        "video text button_text",
        "video text button_text button_url",
        "carousel text",
    )
)
WHATSAPP_CONTENT = ("template", "text", "image", "video", "audio", "document", "sticker")
RCS_CONTENT = ("text", "content_info", "rich_card")

MEGABYTE = 1024 * 1024


def _given(message: BaseModel, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(message, name) is not None]


def _exactly_one(message: BaseModel, names: tuple[str, ...]) -> None:
    given = _given(message, names)
    if not given:
        raise missing(f"One of {', '.join(names)} is required", names[0])
    if len(given) > 1:
        raise invalid(f"Only one of {', '.join(names)} can be used", given[1])


class Timed(BaseModel):
    """What every channel has: how long it is tried, in minutes or in seconds."""

    validity: Given[Positive] = None
    ttl: Given[Positive] = None

    @model_validator(mode="after")
    def _one_lifetime(self) -> Self:
        if self.validity is not None and self.ttl is not None:
            raise invalid('Only one of "ttl" and "validity" can be used', "ttl")
        return self


class Sms(Timed):
    """Section SMS. The channel's text is split by the API, so it has no length limit."""

    channel: Literal["sms"] = "sms"
    text: StrictStr
    sender: Given[SmsSender] = None
    # SPEC 2.1.0 lists "true" and "false", a YAML slip for on and off; its own prose, every
    # earlier revision and all documentation say on, full, off. Only these are accepted.
    autoconvert: Given[Literal["on", "full", "off"]] = None
    udh: Given[Hex] = None


class ViberVideo(BaseModel):
    """At most 200 MB and 600 seconds."""

    url: StrictStr
    thumbnail: StrictStr
    file_size: Annotated[StrictInt, Field(ge=0, le=200 * MEGABYTE)]
    duration: Annotated[StrictInt, Field(ge=0, le=600)]


class ViberTemplate(BaseModel):
    """A template approved beforehand, and its parameters."""

    id: StrictStr
    lang: StrictStr
    params: Given[dict[StrictStr, StrictStr]] = None


class ViberButton(BaseModel):
    """A button of a carousel's item."""

    label: StrictStr
    action_url: StrictStr


class ViberCarouselItem(BaseModel):
    """One card of a carousel."""

    title: Annotated[StrictStr, Field(min_length=2, max_length=38)]
    image_url: StrictStr
    primary_button: ViberButton
    secondary_button: Given[ViberButton] = None


class ViberCarousel(BaseModel):
    """Two to five cards."""

    items: Annotated[list[ViberCarouselItem], Field(min_length=2, max_length=5)]


class Viber(Timed):
    """Section Viber. What a template may be combined with is not documented, so not checked."""

    channel: Literal["viber"] = "viber"
    sender: Given[StrictStr] = None
    text: Given[Annotated[StrictStr, Field(max_length=1000)]] = None
    image_url: Given[StrictStr] = None
    button_url: Given[StrictStr] = None
    button_text: Given[StrictStr] = None
    video: Given[ViberVideo] = None
    template: Given[ViberTemplate] = None
    carousel: Given[ViberCarousel] = None

    @model_validator(mode="after")
    def _known_combination(self) -> Self:
        given = _given(self, VIBER_CONTENT)
        if self.template is None:
            if not given:
                raise missing("The message has no content", "text")
            if frozenset(given) not in VIBER_COMBINATIONS:
                raise invalid(f"{', '.join(given)} cannot be combined")
        return self


class Media(BaseModel):
    """An image, video, audio, document or sticker, by the id of an upload or by link."""

    id: Given[StrictStr] = None
    link: Given[StrictStr] = None
    caption: Given[StrictStr] = None
    filename: Given[StrictStr] = None

    @model_validator(mode="after")
    def _found_somewhere(self) -> Self:
        if self.id is None and self.link is None:
            raise missing("One of id, link is required", "id")
        return self


class Language(BaseModel):
    """The language of a WhatsApp template."""

    code: StrictStr
    policy: Given[StrictStr] = None


class Parameter(BaseModel):
    """A parameter of a template's component; its values are accepted as any object."""

    type: StrictStr
    text: Given[StrictStr] = None
    currency: Given[JsonObject] = None
    date_time: Given[JsonObject] = None
    image: Given[JsonObject] = None
    document: Given[JsonObject] = None
    video: Given[JsonObject] = None
    coupon_code: Given[StrictStr] = None
    payload: Given[StrictStr] = None


class Component(BaseModel):
    """A component of a template. `index` is the only nullable field of a request."""

    type: StrictStr
    sub_type: Given[StrictStr] = None
    index: StrictInt | None = None
    parameters: Given[list[Parameter]] = None


class WhatsAppTemplate(BaseModel):
    """A template approved by Meta."""

    name: StrictStr
    language: Language
    components: list[Component]


class WhatsAppText(BaseModel):
    """Free text, within an open conversation."""

    body: StrictStr
    preview_url: Given[StrictBool] = None


class WhatsApp(Timed):
    """Section WhatsApp: exactly one kind of content."""

    channel: Literal["whatsapp"] = "whatsapp"
    sender: Given[StrictStr] = None
    template: Given[WhatsAppTemplate] = None
    text: Given[WhatsAppText] = None
    image: Given[Media] = None
    video: Given[Media] = None
    audio: Given[Media] = None
    document: Given[Media] = None
    sticker: Given[Media] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, WHATSAPP_CONTENT)
        return self


class Suggestion(BaseModel):
    """A reply or an action, exactly one."""

    reply: Given[JsonObject] = None
    action: Given[JsonObject] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, ("reply", "action"))
        return self


class RichCard(BaseModel):
    """One card or several, exactly one of both."""

    standalone_card: Given[JsonObject] = None
    carousel_card: Given[JsonObject] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, ("standalone_card", "carousel_card"))
        return self


class ContentInfo(BaseModel):
    """A file to be shown."""

    file_url: StrictStr
    thumbnail_url: Given[StrictStr] = None
    force_refresh: StrictBool


class Rcs(Timed):
    """Section RCS: a sender, and exactly one kind of content."""

    channel: Literal["rcs"] = "rcs"
    sender: StrictStr
    text: Given[Annotated[StrictStr, Field(max_length=3072)]] = None
    suggestions: Given[Annotated[list[Suggestion], Field(max_length=11)]] = None
    rich_card: Given[RichCard] = None
    content_info: Given[ContentInfo] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, RCS_CONTENT)
        return self
