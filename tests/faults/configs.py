"""The configurations of the servers under test. `{directory}` is where such a server may write."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_SCRIPTED = """\
server: {max_sessions: 400}
doors: {sessions_per_address: 400, connections_per_address: 800}
sessions: {longest_minutes: 600}
spool: {directory: "{directory}/spool"}
default: steady
download: false
voice: twopass_scripted.hosted:voice
profiles:
  steady:
    first_pass: {provider: scripted}
    second_pass: {provider: scripted, name: steady}
    first_pass_run: {silence_seconds: 1.0}
    second_pass_run: {deadline_ms: 20000, hang_ms: 5000}
  # A second pass of its own, so that what hangs in it touches only those who asked for it.
  shaky:
    first_pass: {provider: scripted}
    second_pass: {provider: scripted, name: shaky, slow_seconds: 1.0}
    first_pass_run: {silence_seconds: 1.0}
    second_pass_run: {deadline_ms: 4000, hang_ms: 1500}
  hosted:
    first_pass: {provider: scripted}
    second_pass: {provider: scripted, name: hosted, hosted: true}
    second_pass_run: {deadline_ms: 20000, hang_ms: 5000}
"""

# Interims as a vendor gives them: three a second at most.
_MANY = """\
server: {max_sessions: 400}
doors: {sessions_per_address: 400, connections_per_address: 800}
spool: {directory: "{directory}/spool"}
default: many
download: false
voice: twopass_scripted.hosted:voice
profiles:
  many:
    first_pass: {provider: scripted, interim_ms: 300}
    second_pass: {provider: scripted, name: many, max_batch: 16}
"""

_REAL = """\
server: {max_sessions: 50}
spool: {directory: "{directory}/spool"}
default: demo
download: false
profiles:
  demo:
    language: en-US
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: demo}
    second_pass_run: {deadline_ms: 60000}
"""

CLUSTERED = """\
server: {{max_sessions: 400}}
doors: {{sessions_per_address: 400, connections_per_address: 800}}
sessions: {{longest_minutes: 600}}
spool: {{url: "{state}"}}
default: steady
download: false
voice: twopass_scripted.hosted:voice
profiles:
  # A batch takes a while, so that there is a middle of it in which a worker can die.
  steady:
    first_pass: {{provider: scripted}}
    second_pass: {{provider: scripted, name: steady, batch_seconds: 0.2, dispatch: "{broker}"}}
    first_pass_run: {{silence_seconds: 1.0}}
    second_pass_run: {{deadline_ms: 20000, hang_ms: 5000}}
  shaky:
    first_pass: {{provider: scripted}}
    second_pass: {{provider: scripted, name: shaky, slow_seconds: 1.0, dispatch: "{broker}"}}
    first_pass_run: {{silence_seconds: 1.0}}
    second_pass_run: {{deadline_ms: 4000, hang_ms: 1500}}
  # Gives up what the broker keeps from it.
  hurried:
    first_pass: {{provider: scripted}}
    second_pass: {{provider: scripted, name: hurried, batch_seconds: 0.2, dispatch: "{broker}"}}
    first_pass_run: {{silence_seconds: 1.0}}
    second_pass_run: {{deadline_ms: 2000, hang_ms: 5000}}
  hosted:
    first_pass: {{provider: scripted}}
    second_pass: {{provider: scripted, name: hosted, hosted: true, batch_seconds: 0.2, dispatch: "{broker}"}}
    second_pass_run: {{deadline_ms: 20000, hang_ms: 5000}}
"""
"""Of all gateways and workers of a cluster. `{broker}` is the broker's address, `{state}` where sessions are kept."""

TEXTS: Mapping[str, str] = MappingProxyType({"scripted": _SCRIPTED, "many": _MANY, "real": _REAL})
