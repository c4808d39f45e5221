"""A faithful local stand-in of the Omnichannel API, for trials, tests and demonstrations."""
