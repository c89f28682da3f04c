"""People who sit at the console: their accounts opened over HTTP as a browser would, for tests of what they then see."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from dataclasses import dataclass
from typing import Any

import httpx

from exchange.signin.factors import STEP_US, one_time_code

PASSWORD = "a quiet river of numbers"


@dataclass
class Seat:
    """An account and the session that its opening began."""

    login: str
    secret: bytes
    codes: list[str]
    cookie: tuple[str, str]
    url: str

    def code(self, steps: int = 0) -> str:
        """What the authenticator shows now, or so many steps later."""
        return one_time_code(self.secret, time.time_ns() // 1000 // STEP_US + steps)

    def cookies(self) -> list[dict[str, Any]]:
        """The session as a browser context takes it."""
        name, value = self.cookie
        address = self.url.replace(
            "http:", "https:"
        )  # a cookie of TLS alone, which a browser gives 127.0.0.1 as well
        return [
            {
                "name": name,
                "value": value,
                "url": address,
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
        ]

    def headers(self) -> dict[str, str]:
        """The session as a request carries it."""
        return {"Cookie": "=".join(self.cookie), "Origin": self.url}


def seated(url: str, token: str, login: str) -> Seat:
    """Open an account with a one-time link."""
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=120) as http:
        page = http.post("/en/enrol", data={"do": "link", "token": token}).text
        factor = re.search(r'name="factor" value="([0-9a-f]+)"', page)
        spelt = re.search(r'<code class="long">([A-Z2-7 ]{39})</code>', page)
        assert factor is not None
        assert spelt is not None
        secret = b32decode(spelt[1].replace(" ", ""))
        code = one_time_code(secret, time.time_ns() // 1000 // STEP_US)
        told = {
            "do": "secure",
            "token": token,
            "login": login,
            "password": PASSWORD,
            "factor": factor[1],
            "code": code,
        }
        done = http.post("/en/enrol", data=told)
        assert done.status_code == 200, done.text
        (name, value), *_ = [
            part.split("=", 1)
            for part in re.findall(r"(__Host-[a-z]+=[0-9a-f]{64});", done.headers["set-cookie"])
        ]
        codes = re.findall(r"<li><code>([A-Z2-7-]{19})</code>", done.text)
    return Seat(login, secret, codes, (name, value), url)
