"""What the workers of a sweep share: a plan that all agree on, and the studies on a storage of theirs."""

import json
import time
import warnings
from typing import TYPE_CHECKING, Final

import msgspec

from nexus_engine.cortex.strategy import Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

HEARTBEAT_S, GRACE_S = 5, 30
"""A worker that was not heard of for the grace is dead, and its trial is tried again by another."""
FIRST_TRIES, FIRST_WAIT_S = 5, 0.5
AGAIN: Final = 2
"""Times that a trial whose worker died is tried again: it may be what kills them."""


class SweepError(Exception):
    """It cannot be swept like this; the message is one clear line."""


class Fold(msgspec.Struct, frozen=True):
    """Searched in [from, until), judged on [until, to); UTC ns."""

    from_ns: int
    until_ns: int
    to_ns: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker of a study must agree on; it is kept with it."""

    strategy: str
    symbol: str
    data: str
    """A digest of the bars, so that two machines do not search in different files."""
    metric: str
    trials: int
    """Complete ones, a fold."""
    folds: tuple[Fold, ...]
    space: dict[str, tuple[Value, ...]]
    given: dict[str, Value] = {}
    """Parameters that are set and not searched."""
    code: str | msgspec.UnsetType = msgspec.UNSET
    """A digest of a user's own strategy; a shipped one has none."""
    model: str | msgspec.UnsetType = msgspec.UNSET
    """The regime model that tells; without one the rule does."""


# ---- the storage -----------------------------------------------------------------------------------------------------


def opened(url: str) -> "RDBStorage":
    """The storage that workers share: `sqlite:///FILE` or `postgresql://…`. Raises SweepError."""
    from optuna.exceptions import ExperimentalWarning, StorageInternalError
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

    try:
        where = make_url(url)
    except ArgumentError:
        raise SweepError("--storage: must be like sqlite:///sweep.db or postgresql://user@host/database") from None
    if where.drivername == "postgresql":
        where = where.set(drivername="postgresql+psycopg")
    if where.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SweepError(f"--storage {where.drivername}: must be sqlite or postgresql")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        again = RetryHeartbeatStaleTrialCallback(max_retry=AGAIN)
    for left in reversed(range(FIRST_TRIES)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    where.render_as_string(hide_password=False),
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=GRACE_S,
                    heartbeat_stale_trial_callback=again,
                )
        except (IntegrityError, ProgrammingError) as error:
            # two workers that start as one both make the tables; the second finds them there when it looks again
            if not left:
                raise SweepError(_told(where, error)) from None
            time.sleep(FIRST_WAIT_S)
        except (SQLAlchemyError, StorageInternalError, OSError) as error:
            raise SweepError(_told(where, error)) from None
    raise AssertionError("unreachable")


def _told(where: "URL", error: Exception) -> str:
    """One line, without the password."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return f"--storage {where.render_as_string(hide_password=True)}: {reason}"


def studies(storage: "RDBStorage", name: str, plan: Plan, seed: int | None) -> "list[Study]":
    """A study for each fold, made by whoever comes first. Raises SweepError where it was made for something else."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    told = msgspec.json.encode(plan).decode()
    found = []
    for number in range(1, len(plan.folds) + 1):
        # workers that start as one must not all try the same points: `constant_liar` counts what is under way
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(
            study_name=f"{name}/{number}", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )
        kept = study.user_attrs.get("plan")
        if kept is None:
            study.set_user_attr("plan", told)
        elif kept != told:
            raise SweepError(f"--study {name}: it was begun with {_difference(kept, told)}; give it another name")
        found.append(study)
    return found


def _difference(kept: str, told: str) -> str:
    before, now = json.loads(kept), json.loads(told)
    return "other " + ", ".join(key for key in now if before.get(key) != now[key])
