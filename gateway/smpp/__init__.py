"""The SMPP protocol as pure values: octets, PDUs, session rules. No I/O, no clock."""
