"""`python -m gateway` is the command smpp-gateway."""

from gateway.cli import main

if __name__ == "__main__":
    main(prog_name="smpp-gateway")
