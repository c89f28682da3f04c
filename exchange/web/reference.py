"""The contract of the API as people read it: what /openapi.json says, laid out by subject, in Chinese or English."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from exchange.web.words import Language


def reference(document: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """The operations of a contract by subject, and all problem codes with their remedies."""
    summaries = _chinese() if language == "zh" else {}
    subjects: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, said in item.items():
            subjects.setdefault(said["tags"][0], []).append(
                {
                    "id": said["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "summary": summaries.get(said["operationId"], said["summary"]),
                    "text": said["description"],
                    "open": "security" not in said or {} in said["security"],
                    "parameters": said.get("parameters", []),
                    "sent": _shown(said.get("requestBody", {})),
                    "answers": [_answer(status, response) for status, response in said["responses"].items()],
                }
            )
    shown: dict[str, Any] = document["components"]["examples"]
    return {"subjects": {name: found for name, found in subjects.items() if found}, "problems": shown}


def _answer(status: str, response: Mapping[str, Any]) -> dict[str, Any]:
    codes = response.get("x-problem-codes", [])
    return {"status": status, "codes": codes, "text": response["description"], "shown": _shown(response)}


def _shown(body: Mapping[str, Any]) -> str | None:
    """The example of a JSON body, as one writes it down."""
    media = body.get("content", {}).get("application/json")
    return None if media is None else json.dumps(media["example"], indent=2, ensure_ascii=False)


@cache
def _chinese() -> dict[str, str]:
    return tomllib.loads(files("exchange.web").joinpath("locales", "reference.zh.toml").read_text("utf-8"))
