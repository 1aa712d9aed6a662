"""The models in memory: never more than may be, none waits for ever for another, each goes when its time is over."""

import asyncio
import random
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from programs.serve import runner
from programs.serve.runner import MAX_LOADED, Pool, Setting

SMALL, LARGE = (Setting(num_ctx, 512, 0, -1) for num_ctx in (512, 1024))
ENTRIES = [SimpleNamespace(path=f"{i}.gguf") for i in range(MAX_LOADED + 2)]
THERE = set()


@dataclass(eq=False)
class NoModel(runner.Child):
    """A child without a process: what the pool does with it is the same."""

    def __init__(self, entry, setting, stays_s):
        self.entry, self.setting, self.stays_s, self.load_ns, self.expires = entry, setting, stays_s, 0, runner.FOREVER

    @property
    def alive(self):
        return self in THERE

    async def start(self):
        THERE.add(self)
        assert len(THERE) <= MAX_LOADED
        await asyncio.sleep(0.002)

    async def end(self):
        await asyncio.sleep(0.001)
        THERE.discard(self)


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    THERE.clear()
    monkeypatch.setattr(runner, "Child", NoModel)


def test_many_requests_for_more_models_than_there_is_room_for_are_all_answered():
    dice = random.Random(1)

    async def ask(pool):
        setting = dice.choice((SMALL, LARGE))
        async with pool.child(dice.choice(ENTRIES), setting) as child:
            assert (child.setting, child.alive) == (setting, True)
            await asyncio.sleep(dice.random() / 500)

    async def crowd():
        async with Pool() as pool:
            await asyncio.wait_for(asyncio.gather(*(ask(pool) for _ in range(300))), 60)

    asyncio.run(crowd())
    assert not THERE


def test_a_client_that_leaves_while_a_model_loads_leaves_nothing_behind():
    async def leave():
        async with Pool() as pool:
            asked = asyncio.create_task(pool.child(ENTRIES[0], SMALL).__aenter__())
            await asyncio.sleep(0.001)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert not THERE
            async with pool.child(ENTRIES[0], SMALL, 0.0):
                assert len(pool.loaded()) == 1
            await asyncio.sleep(0.5)
            assert not pool.loaded()

    asyncio.run(leave())
