"""What a short message says: alphabets, addresses, parts. Pure, like `gateway.smpp`."""
