"""What goes wrong in a run, by name. A scenario and a seed make a run, and are all that is needed to have it again."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from tests.faults.proxy import Slow, Weather

Doing: TypeAlias = Literal[
    # to a server
    "kill",
    "restart",
    "kill_models",
    "fill_disk",
    # to a cluster
    "kill_worker",
    "stop_worker",
    "pause_worker",
    "slow_worker",
    "kill_worker_models",
    "kill_gateway",
    "stop_gateway",
    "pause_gateway",
    "kill_broker",
    "lose_broker",
    "kill_state",
    "empty_state",
    "anything",
]
"""What is done while the sessions of a batch run."""

AUDIO_RATE = 32_000


def _nothing(rng: random.Random, speed: float) -> Weather | None:
    return None


def _no_orders(rng: random.Random) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Scenario:
    """
    One way to fail.

    Attributes:
        weather: The network between client and server, by random numbers and speed; None is a direct connection.
        orders: What the recognizers of the session are told to do (see the plugin's `faults`).
        doing: What is done to the server or the cluster, and how often.
        speed: So many times faster than real time.
        ms: Least length of the recording.
        disorder: A client made by hand sends indexed frames in disorder, instead of the real client.
        config: Which server.
        share: How many runs it gets, compared with the others.
        most: So many run at once.
    """

    title: str
    weather: Callable[[random.Random, float], Weather | None] = _nothing
    orders: Callable[[random.Random], tuple[str, ...]] = _no_orders
    doing: tuple[Doing, int] | None = None
    speed: float = 4.0
    ms: int = 30_000
    profile: str = "steady"
    disorder: bool = False
    config: Literal["scripted", "real"] = "scripted"
    share: int = 1
    most: int = 15


def _cuts(rng: random.Random, speed: float) -> Weather:
    return Weather(cut_after=rng.choice([(0.5, 1.5), (0.5, 4.0), (1.0, 6.0)]))


def _real_cuts(rng: random.Random, speed: float) -> Weather:
    return Weather(cut_after=(0.5, 3.0))


def _silences(rng: random.Random, speed: float) -> Weather:
    return Weather(silent_after=(0.5, 4.0), most_silences=rng.randint(1, 2))


def _jitter(rng: random.Random, speed: float) -> Weather:
    return Weather(delay=(0.2, 1.0))


def _narrow(rng: random.Random, speed: float) -> Weather:
    begin = rng.uniform(0.3, 2.0)
    return Weather(up=Slow(begin, begin + rng.uniform(3.0, 6.0), AUDIO_RATE * speed * rng.uniform(0.2, 0.8)))


def _slow_reader(rng: random.Random, speed: float) -> Weather:
    begin = rng.uniform(0.2, 2.0)
    return Weather(down=Slow(begin, begin + rng.uniform(4.0, 8.0), rng.uniform(500, 4_000)))


def _storm(rng: random.Random, speed: float) -> Weather:
    return Weather(cut_after=(0.5, 5.0), delay=(0.0, 0.6), silent_after=(1.0, 9.0), most_silences=1)


def _crash_first(rng: random.Random) -> tuple[str, ...]:
    kind, at = rng.choice(["crash", "bug"]), rng.randrange(4)
    return tuple(f"first:{kind}@{at + i}" for i in range(rng.choice([1, 2, 3, 6])))


def _crash_second(rng: random.Random) -> tuple[str, ...]:
    kind, at = rng.choice(["crash", "bug"]), rng.randrange(4)
    return tuple(f"second:{kind}@{at + i}" for i in range(rng.choice([1, 2, 4])))


def _hang_first(rng: random.Random) -> tuple[str, ...]:
    return (f"first:hang@{rng.randrange(4)}",)


def _hang_second(rng: random.Random) -> tuple[str, ...]:
    return (f"second:hang@{rng.randrange(4)}",)


def _slow_first(rng: random.Random) -> tuple[str, ...]:
    at = rng.randrange(3)
    return tuple(f"first:slow@{at + i}" for i in range(rng.choice([1, 2])))


def _slow_second(rng: random.Random) -> tuple[str, ...]:
    return tuple(f"second:slow@{i}" for i in range(rng.randrange(4, 12)))


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "cut": Scenario("socket cut every 0.5-6 s", _cuts, share=3),
        "cut_slow": Scenario(
            "socket cut every 0.5-10 s, real time", lambda r, s: Weather(cut_after=(0.5, 10)), speed=1
        ),
        "half_open": Scenario("half-open TCP", _silences, speed=2, share=2),
        "jitter": Scenario("200-1000 ms jitter", _jitter, share=2),
        "bandwidth": Scenario("bandwidth below the audio rate", _narrow, share=2),
        "slow_reader": Scenario("slow reader", _slow_reader, share=2),
        "disorder": Scenario("frames late, twice, sent again", disorder=True, share=2),
        "disorder_and_cut": Scenario("frames in disorder and socket cut", _cuts, disorder=True, share=2),
        "server_kill": Scenario("kill -9 of the server", doing=("kill", 2), speed=3, share=3),
        "server_restart": Scenario("SIGTERM of the server", doing=("restart", 1), speed=3),
        "model_kill": Scenario("kill -9 of the model processes", doing=("kill_models", 3), profile="hosted", share=2),
        "first_crashed": Scenario("crashed first pass", orders=_crash_first, share=2),
        "second_crashed": Scenario("crashed second pass", orders=_crash_second, profile="shaky"),
        "first_hung": Scenario("hung first pass", orders=_hang_first),
        "second_hung": Scenario("hung second pass", orders=_hang_second, profile="shaky"),
        "first_slow": Scenario("first pass slower than speech", orders=_slow_first),
        "second_slow": Scenario("second pass overloaded", orders=_slow_second, profile="shaky"),
        "disk_full": Scenario("full disk", doing=("fill_disk", 1), share=2),
        "disk_and_cut": Scenario("full disk and socket cut", _cuts, doing=("fill_disk", 1)),
        "kill_and_cut": Scenario("kill -9 of the server and socket cut", _cuts, doing=("kill", 1), speed=3, share=2),
        "kill_and_crash": Scenario(
            "kill -9 of the server and crashed first pass", orders=_crash_first, doing=("kill", 1), speed=3
        ),
        "kill_and_disorder": Scenario(
            "kill -9 of the server and frames in disorder", doing=("kill", 2), speed=3, disorder=True, share=2
        ),
        "storm": Scenario("cuts, jitter and half-open at once", _storm, speed=2, share=2),
        "real_cut": Scenario("real models: socket cut", _real_cuts, speed=1, profile="demo", config="real", most=4),
        "real_kill": Scenario(
            "real models: kill -9 of them", doing=("kill_models", 1), speed=1, profile="demo", config="real", most=4
        ),
    }
)


# Half as fast as on one server: what is killed and started again takes its time.
_CLUSTER_SPEED = 2.0

CLUSTER_SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "kill_worker": Scenario("kill -9 of a worker mid-batch", doing=("kill_worker", 3), speed=_CLUSTER_SPEED),
        "slow_worker": Scenario("a worker ten times slower", doing=("slow_worker", 2), speed=_CLUSTER_SPEED),
        "pause_worker": Scenario("a worker stands still", doing=("pause_worker", 2), speed=_CLUSTER_SPEED),
        "stop_worker": Scenario("SIGTERM of a worker", doing=("stop_worker", 2), speed=_CLUSTER_SPEED),
        "kill_gateway": Scenario("kill -9 of a gateway", doing=("kill_gateway", 2), speed=_CLUSTER_SPEED),
        "stop_gateway": Scenario("SIGTERM of a gateway", doing=("stop_gateway", 2), speed=_CLUSTER_SPEED),
        "pause_gateway": Scenario("a gateway stands still", doing=("pause_gateway", 1), speed=_CLUSTER_SPEED),
        "kill_broker": Scenario("kill -9 of the broker", doing=("kill_broker", 2), speed=_CLUSTER_SPEED),
        "lose_broker": Scenario(
            "no broker for longer than a deadline", doing=("lose_broker", 1), profile="hurried", speed=_CLUSTER_SPEED
        ),
        "kill_state": Scenario("kill -9 of the sessions' Redis", doing=("kill_state", 2), speed=_CLUSTER_SPEED),
        "state_and_cut": Scenario("the same and socket cut", _cuts, doing=("kill_state", 2), speed=_CLUSTER_SPEED),
        "empty_state": Scenario("that Redis loses all it has", doing=("empty_state", 1), speed=_CLUSTER_SPEED),
        "cut": Scenario("socket cut, next gateway", _cuts, speed=_CLUSTER_SPEED),
        "storm": Scenario("cuts, jitter and half-open at once", _storm, speed=_CLUSTER_SPEED),
        "disorder_and_cut": Scenario("frames in disorder and socket cut", _cuts, disorder=True, speed=_CLUSTER_SPEED),
        "model_kill": Scenario(
            "kill -9 of the workers' models", doing=("kill_worker_models", 3), profile="hosted", speed=_CLUSTER_SPEED
        ),
        "crashes": Scenario("crashed first pass and cuts", _cuts, orders=_crash_first, speed=_CLUSTER_SPEED),
        "second_crashed": Scenario("crashed second pass", orders=_crash_second, profile="shaky", speed=_CLUSTER_SPEED),
        "second_hung": Scenario("hung second pass", orders=_hang_second, profile="shaky", speed=_CLUSTER_SPEED),
        "mixture": Scenario("all of it, two at a time, and cuts", _cuts, doing=("anything", 3), speed=1.5, share=2),
    }
)


def shared_out(runs: int, names: Collection[str], scenarios: Mapping[str, Scenario] = SCENARIOS) -> dict[str, int]:
    """How many of so many runs each of these scenarios gets, at least one each."""
    total = sum(scenarios[name].share for name in names)
    return {name: max(1, round(runs * scenarios[name].share / total)) for name in names}
