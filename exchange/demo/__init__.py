"""The demo: a whole market in a sandbox, played by clients of a real server."""
