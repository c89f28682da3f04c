"""Door 2: the console, pages and forms rendered on the server."""
