"""smpp-omnichannel-gateway: an SMPP server in front of Messente's Omnichannel API."""

__version__ = "0.1.0"
