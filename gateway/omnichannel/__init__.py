"""The Omnichannel API: its bodies and their meaning as values, and the engines that talk to it."""
