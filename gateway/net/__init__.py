"""The I/O shell on Twisted: SMPP connections, and the admin's HTTP."""
