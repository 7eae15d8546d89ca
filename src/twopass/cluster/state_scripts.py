"""
What is done in Redis at once, or not at all, and the names there. Pure.

    twopass:sessions              the names of all sessions
    twopass:server:<owner>        there as long as this server is heard of
    twopass:wanted:<owner>        a channel: sessions that others want to go on with
    twopass:{<session>}:about     owner, about, first (number of the first frame kept), begins (see `keeping.Place`)
    twopass:{<session>}:journal   see `journal`
    twopass:{<session>}:frames    what the client sent, frame by frame

Every change names its owner, and is refused once the session has another one. It also says where it belongs, so that
one which comes twice, because the answer to the first got lost, changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

SESSIONS = "twopass:sessions"


class Keys(NamedTuple):
    """One session's names; the braces put them on one node of a Redis cluster."""

    about: str
    journal: str
    frames: str


def keys(session: str) -> Keys:
    """A session's names."""
    return Keys(*(f"twopass:{{{session}}}:{part}" for part in Keys._fields))


def alive(owner: str) -> str:
    """The name of a server's sign of life."""
    return f"twopass:server:{owner}"


def wanted(owner: str) -> str:
    """The name of a server's channel."""
    return f"twopass:wanted:{owner}"


class Answer(StrEnum):
    """What became of a change."""

    KEPT = "kept"
    TAKEN = "taken"  # it has another owner now
    LOST = "lost"  # what was there before is not there any more


WRITE = """
-- about journal frames | owner about? at bytes drop begins? from ttl frame...
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then
    if ARGV[2] == '' then return 'lost' end
    redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'about', ARGV[2], 'first', 0)
elseif owner ~= ARGV[1] then
    return 'taken'
end
local at, written = tonumber(ARGV[3]), redis.call('STRLEN', KEYS[2])
if written < at then return 'lost' end
local first = tonumber(redis.call('HGET', KEYS[1], 'first'))
local drop = tonumber(ARGV[5])
if drop > first then
    redis.call('LTRIM', KEYS[3], drop - first, -1)
    first = drop
    redis.call('HSET', KEYS[1], 'first', first, 'begins', ARGV[6])
end
local from, after = tonumber(ARGV[7]), first + redis.call('LLEN', KEYS[3])
if after < from then return 'lost' end
for i = 9 + after - from, #ARGV do
    redis.call('RPUSH', KEYS[3], ARGV[i])
end
local fresh = string.sub(ARGV[4], written - at + 1)
if #fresh > 0 then redis.call('APPEND', KEYS[2], fresh) end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[8]) end
return 'kept'
"""
"""Writes on. `at`: where in the journal the bytes belong; `drop`: the first frame still needed, and `from` the number
of the first frame here; `about` only in the first change of a session."""

TAKE = """
-- about journal frames | owner expected
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner ~= ARGV[2] then return {owner} end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
local kept = redis.call('HMGET', KEYS[1], 'about', 'first', 'begins')
return {owner, kept[1], kept[2], kept[3] or '', redis.call('GET', KEYS[2]) or '', redis.call('LRANGE', KEYS[3], 0, -1)}
"""
"""Takes a session from its owner, who must be the expected one, and gives all that is there."""

LEAVE = """
-- about journal frames | owner
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HSET', KEYS[1], 'owner', '') end
"""
"""Anybody may have it."""

REMOVE = """
-- about journal frames | owner
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2], KEYS[3]) end
"""
"""Nobody needs it any more."""
