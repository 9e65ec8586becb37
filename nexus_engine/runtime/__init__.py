"""One account's life: its thread and loop, and what it is made of. Importing this costs next to nothing."""

from nexus_engine.model.paths import StateError
from nexus_engine.runtime.options import Options, StartError, check, somebody, with_key
from nexus_engine.runtime.supervisor import Supervisor
from nexus_engine.runtime.thread import Runtime
from nexus_engine.store.lock import AccountBusy

__all__ = [
    "AccountBusy",
    "Options",
    "Runtime",
    "StartError",
    "StateError",
    "Supervisor",
    "check",
    "somebody",
    "with_key",
]
