"""A node whose chain a test can mend or undo, and whose wire it can cut."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from web3 import Web3

from ledger.anchor import new_key
from ledger.chain import Node, serve


class Faulty:
    """A node in this process, with a chain that a test can mend or undo and a wire that a test can cut."""

    def __init__(self) -> None:
        self.key = new_key()
        self.node = Node(self.key)
        self.drop: set[str] = set()  # requests naming these methods get no answer, after the node obeyed them
        self.ignore: set[str] = set()  # these do not even reach the node
        self.held: list[bytes] | None = (
            None  # where a list, transactions are taken and wait in it for a block
        )
        self.left: int | None = None  # so many requests more are answered; then none
        self.seen: list[bytes] = []  # every request
        self._inner = serve(self.node, 0)
        faulty = self

        class Wire(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                faulty.seen.append(body)
                if faulty.left == 0 or any(method.encode() in body for method in faulty.ignore):
                    return
                if faulty.left is not None:
                    faulty.left -= 1
                asked = json.loads(body)
                if faulty.held is not None and asked["method"] == "eth_sendRawTransaction":
                    faulty.held.append(body)
                    sent = Web3.keccak(hexstr=asked["params"][0]).to_0x_hex()
                    answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": sent}).encode()
                else:
                    answer = faulty.node.answer(body)
                if any(method.encode() in body for method in faulty.drop):
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self._wire = ThreadingHTTPServer(("127.0.0.1", 0), Wire)
        threading.Thread(target=self._wire.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._wire.server_address[1]}"

    def release(self) -> None:
        """Put what waits into blocks, in the order in which it came, and take what comes at once again."""
        held, self.held = self.held or [], None
        for body in held:
            self.node.answer(body)

    def stop(self) -> None:
        """End it."""
        for server in (self._wire, self._inner):
            server.shutdown()
            server.server_close()
