"""Door 2: the console, pages rendered on the server that stay live by themselves."""

from exchange.web.console import mount

__all__ = ["mount"]
