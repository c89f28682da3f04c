"""The layers' health: each probe answers for itself, in time or not at all."""

from __future__ import annotations

import asyncio

import pytest

from exchange.health import LAYERS, Told, look, worst


@pytest.mark.anyio
async def test_a_probe_that_fails_says_so_of_its_own_layer_alone() -> None:
    async def well() -> Told:
        return Told("good", "1")

    async def ill() -> Told:
        raise OSError("gone")

    for broken in LAYERS:
        probes = [(layer, "probe", ill if layer == broken else well) for layer in LAYERS]
        found = await look(probes)
        assert {layer for layer, state in worst(found).items() if state == "bad"} == {broken}
        assert [one.detail for one in found if one.state == "bad"] == ["OSError"]


@pytest.mark.anyio
async def test_a_probe_that_does_not_answer_is_a_fault_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.health.PROBE_S", 0.01)

    async def silent() -> Told:
        await asyncio.sleep(60)
        return Told("good", "1")

    (found,) = await look([("cloud", "probe", silent)])
    assert found.state == "bad"
    assert found.took_ms < 5_000
