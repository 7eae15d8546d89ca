"""API keys: what is kept of them, when they are valid, and the commands that make them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from twopass.errors import ConfigError, Unauthorized
from twopass.gateway.keys import KeyFile, KeyRing, create, read, revoke

NOW = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def refused(ring: KeyRing, credential: str, seconds: int = 60) -> str:
    """Why a credential is not accepted."""
    with pytest.raises(Unauthorized) as caught:
        ring.owner(credential, seconds)
    assert "unauthorized" == caught.value.code
    assert caught.value.fix
    assert credential not in str(caught.value) or not credential
    return caught.value.message


def test_key_opens_and_is_not_kept() -> None:
    """The key that was shown opens; what is kept of it is its hash, and no text form of the ring shows even that."""
    ring, key, secret = create(KeyRing(), name="a", tenant="t", now=NOW, max_sessions=3)
    assert key == ring.owner(secret, 60)
    assert ("a", "t", NOW, None, 3) == (key.name, key.tenant, key.created, key.revoked, key.max_sessions)
    assert secret.startswith("tp_")
    assert len(secret) > 40
    assert secret not in str([ring.secret, *(k.hash for k in ring.keys)])
    assert key.hash not in repr(ring)
    assert ring.secret not in repr(ring)


def test_revoked_key_opens_nothing() -> None:
    """Neither the key nor a token that was made from it before; the others go on, and its day stays the first."""
    ring, first, first_secret = create(KeyRing(), name="a", tenant="t", now=NOW)
    ring, second, second_secret = create(ring, name="b", tenant="t", now=NOW)
    token = ring.token(first)
    ring = revoke(revoke(ring, first.id, NOW), first.id, LATER)
    refused(ring, first_secret)
    refused(ring, token)
    assert second == ring.owner(second_secret, 60)
    assert (NOW, None) == tuple(key.revoked for key in ring.keys)


def test_revoking_what_is_not_there() -> None:
    """It is told with the command that shows what is there."""
    with pytest.raises(ConfigError, match="no key with the id 1234") as caught:
        revoke(KeyRing(), "1234", NOW)
    assert "keys list" in caught.value.fix


def test_token_stands_for_its_key_for_a_while() -> None:
    """It opens until its time is over, and then the refusal says where to get another."""
    ring, key, _ = create(KeyRing(), name="a", tenant="t", now=NOW)
    token = ring.token(key)
    assert re.fullmatch(r"[\w.-]+", token), "it must fit into a subprotocol's name"
    assert key == ring.owner(token, 60)
    assert "The token has expired." == refused(ring, token, -1)


def test_token_of_another_server_opens_nothing() -> None:
    """Every file has a secret of its own, and an empty ring accepts nothing that is signed with nothing."""
    ring, key, _ = create(KeyRing(), name="a", tenant="t", now=NOW)
    other, _, _ = create(KeyRing(), name="a", tenant="t", now=NOW)
    for stranger in (other, KeyRing(secret=other.secret, keys=ring.keys), KeyRing(keys=ring.keys), KeyRing()):
        refused(stranger, ring.token(key))
    with_nothing = KeyRing(keys=ring.keys)
    refused(with_nothing, with_nothing.token(key))


@given(st.text() | st.text().map("tp_{}".format) | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_nothing_else_opens(credential: str) -> None:
    """Whatever somebody sends is refused, and none of it breaks anything."""
    ring, _, _ = create(KeyRing(), name="a", tenant="t", now=NOW)
    with pytest.raises(Unauthorized):
        ring.owner(credential, 60)


def test_any_change_of_a_token_spoils_it() -> None:
    """One character more, less or other."""
    ring, key, _ = create(KeyRing(), name="a", tenant="t", now=NOW)
    token = ring.token(key)
    payload, *rest = token.split(".")
    for wrong in (token + "A", token[1:], ".".join([payload[:-1], *rest]), ".".join([payload, *reversed(rest)])):
        refused(ring, wrong)


def test_file_is_for_its_owner_and_shows_no_key(tmp_path: Path) -> None:
    """Mode 0600, no key inside, and nothing else is left in the directory."""
    path = tmp_path / "new" / "keys.json"
    key, secret = KeyFile(path).add(name="a", tenant="t", now=NOW)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert secret not in path.read_text()
    assert [path] == list(path.parent.iterdir())
    assert (key,) == read(path).keys
    assert NOW == read(path).keys[0].created


def test_running_server_sees_changes_at_once(tmp_path: Path) -> None:
    """A file that comes, grows, is revoked from, breaks and goes: each time the next look sees it."""
    path = tmp_path / "keys.json"
    server, command = KeyFile(path), KeyFile(path)
    assert KeyRing() == server.ring
    key, secret = command.add(name="a", tenant="t", now=NOW)
    assert key == server.ring.find(secret)
    assert server.ring is server.ring, "it is read again only when it has changed"
    other, other_secret = command.add(name="b", tenant="t", now=NOW)
    assert other == server.ring.find(other_secret)
    command.revoke(key.id, LATER)
    assert None is server.ring.find(secret)
    before = path.read_bytes()
    with capture_logs() as logs:
        path.write_text("{}{")
        assert None is server.ring.find(other_secret), "who cannot read the keys lets nobody in"
    assert ["error"] == [line["log_level"] for line in logs]
    path.write_bytes(before)
    assert other == server.ring.find(other_secret)
    path.unlink()
    assert None is server.ring.find(other_secret)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"hash": "stored-secret"}]}', "\ufeff"])
def test_file_that_is_none_of_ours(tmp_path: Path, content: str) -> None:
    """It is told, never quoted, and never overwritten."""
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="is not a file of keys") as caught:
        KeyFile(path).add(name="a", tenant="t", now=NOW)
    assert "stored-secret" not in str(caught.value)
    assert content == path.read_text()


def test_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    """Neither reading nor writing raises anything but our error, which names the path."""
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        read(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        KeyFile(tmp_path / "file" / "keys.json").add(name="a", tenant="t", now=NOW)


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """Keys that are created at the same time are all there afterwards."""
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: KeyFile(path).add(name=str(n), tenant="t", now=NOW), range(24)))
    assert {key.id for key, _ in made} == {key.id for key in read(path).keys}
    assert all(read(path).find(secret) == key for key, secret in made)


def twopass(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command `twopass keys …` as people call it."""
    command = [sys.executable, "-m", "twopass.cli", "keys", *arguments]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_commands(tmp_path: Path) -> None:
    """Create shows the key once, alone on standard output; list shows what for, not what; revoke ends it."""
    path, config = tmp_path / "keys.json", tmp_path / "twopass.yaml"
    passes = {"first_pass": {"provider": "a"}, "second_pass": {"provider": "b"}}
    config.write_text(json.dumps({"default": "p", "profiles": {"p": passes}, "doors": {"keys": str(path)}}))
    options = "--name", "news room", "--tenant", "paper", "--max-sessions", "2"
    created = twopass("create", *options, "--config", str(config))
    (secret,) = created.stdout.split()
    (key,) = read(path).keys
    assert key == read(path).find(secret)
    assert ("news room", "paper", 2) == (key.name, key.tenant, key.max_sessions)
    assert "not shown again" in created.stderr
    listed = twopass("list", "--file", str(path)).stdout
    for shown in (key.id, "news room", "paper", "valid"):
        assert shown in listed
    assert secret not in listed
    assert key.hash not in listed
    assert "is revoked" in twopass("revoke", key.id, "-c", str(config)).stderr
    assert None is read(path).find(secret)
    assert "revoked 20" in twopass("list", "--file", str(path)).stdout


def test_commands_say_what_to_do(tmp_path: Path) -> None:
    """Without a file, and with an id that is not there, the fix is one line; the help shows the whole way."""
    nothing = twopass("list")
    assert 1 == nothing.returncode
    assert "no_keys: There is no file for the keys." in nothing.stderr
    assert "--file" in nothing.stderr
    unknown = twopass("revoke", "abc", "--file", str(tmp_path / "keys.json"))
    assert 1 == unknown.returncode
    assert "unknown_key" in unknown.stderr
    taught = twopass("--help").stdout
    for step in ("doors: {keys:", "twopass keys create", "Authorization: Bearer", "/v1/tokens"):
        assert step in taught
