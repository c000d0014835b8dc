"""channels_redis: messages to a channel and to a group, over both of its layers."""

import asyncio
import os

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

HOSTS = [os.environ["APP_URL"]]
DEADLINE = 60


async def talk(layer):
    alice, bob = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", alice)
    await layer.group_add("room", bob)
    await layer.group_send("room", {"type": "greeting"})
    for channel in (alice, bob):
        assert await asyncio.wait_for(layer.receive(channel), DEADLINE) == {"type": "greeting"}

    await layer.send(alice, {"type": "whisper"})
    assert await asyncio.wait_for(layer.receive(alice), DEADLINE) == {"type": "whisper"}

    await layer.group_discard("room", alice)
    await layer.group_send("room", {"type": "farewell"})
    assert await asyncio.wait_for(layer.receive(bob), DEADLINE) == {"type": "farewell"}
    await layer.group_discard("room", bob)


async def talk_over_both():
    await talk(RedisChannelLayer(hosts=HOSTS))
    await talk(RedisPubSubChannelLayer(hosts=HOSTS))


def work():
    asyncio.run(talk_over_both())
