"""Mutants planted by hand: what an invariant forbids, written into the product as a small slip.

Data alone; `plant.py` applies each to a copy of the tree and looks for a test that notices. `killer` is `dst` for the
simulated worlds, or test files. A mutant may need several edits where two guards stand behind each other.
"""
# ruff: noqa: E501  the table is read row by row

import msgspec

E = "nexus_engine/"
ENGINE, DESK = E + "core/engine.py", E + "core/desk.py"
CARRIER, LEDGER, ORDERS, TURN = E + "carrier.py", E + "model/ledger.py", E + "model/orders.py", E + "model/turn.py"
INSTRUMENTS, SECRET, LOCK = E + "model/instruments.py", E + "model/secret.py", E + "store/lock.py"
MANAGER, PROTECTION, RECONCILE = E + "servos/manager.py", E + "servos/protection.py", E + "servos/reconcile.py"
COPILOT, ASKING, SIZING = E + "servos/copilot.py", E + "servos/asking.py", E + "servos/sizing.py"
LADDER, BREAKER, MACRO = E + "servos/ladder.py", E + "shield/breaker.py", E + "shield/macro.py"
TRANSFERS = E + "core/transfers.py"
CONTROL, SQLITE, WHY = E + "runtime/control.py", E + "store/sqlite.py", E + "core/why.py"
MODEL, BOOK = E + "cortex/regime_model.py", E + "cortex/regime_book.py"
PEOPLE, PRESENCE, HINDRANCES = E + "model/people.py", E + "core/presence.py", E + "core/hindrances.py"
EXPOSURE, GUARDS, STALENESS = E + "shield/exposure.py", E + "shield/guards.py", E + "shield/staleness.py"
SWAN, LEASE, MARKET, LIMITS = (
    E + "shield/blackswan.py",
    E + "shield/lease.py",
    E + "core/market.py",
    E + "uplink/binance/limits.py",
)


FACTORY = E + "cortex/factory.py"


class Mutant(msgspec.Struct, frozen=True):
    """`edits` are (file, old text, new text); each old text stands exactly once in its file."""

    name: str
    invariant: str
    edits: tuple[tuple[str, str, str], ...]
    killer: str = "dst"


def one(name: str, invariant: str, file: str, old: str, new: str, killer: str = "dst") -> Mutant:
    return Mutant(name, invariant, ((file, old, new),), killer)


MUTANTS: tuple[Mutant, ...] = (
    one(
        "what is in flight is no exposure", "I1", EXPOSURE,
        "        if not order.reduce_only:\n", "        if not order.reduce_only and order.status.resting:\n",
        "tests/shield/test_exposure_guard.py",
    ),
    one("positions are no exposure", "I1", EXPOSURE, "            if qty:\n                add(", "            if not qty:\n                add("),
    one(
        "what is foreign is no exposure", "I1 I14", EXPOSURE,
        "{*ledger.positions, *ledger.foreign, *venue_qty}", "{*ledger.positions}",
        "tests/shield/test_exposure_guard.py",
    ),
    one("twice the limit fits", "I1", EXPOSURE, "    if wanted <= room:\n", "    if wanted <= room + limit:\n"),
    one(
        "a pending cancel is no exposure", "I1", ORDERS,
        "return ZERO if self.status.terminal else",
        "return ZERO if self.status.terminal or self.status is OrderStatus.PENDING_CANCEL else",
        "tests/shield/test_exposure_guard.py",
    ),
    one(
        "an entry beside one on its way", "I2", GUARDS,
        '    return allow("symbol") if entry is None else refuse(', '    return allow("symbol") if True else refuse(',
    ),
    Mutant(
        "an entry onto a position", "I2",
        (
            (GUARDS, "    if symbol in ledger.positions:\n", "    if symbol in ():\n"),
            (GUARDS, "    if any(order.leg is not Leg.ENTRY for order in ledger.alive(symbol)):\n", "    if any(()):\n"),
        ),
    ),
    one("an entry leaves without its record", "I3", CARRIER, '            refusal = "not recorded"\n', '            refusal = ""\n'),
    one("an exit waits for no record", "I3", CARRIER, "EXIT_WAIT_S: Final = 0.25", "EXIT_WAIT_S: Final = 0.0"),
    one(
        "an order's number is never raised", "I3", TURN,
        "        while (cid := client_id(ledger.instance, ledger.epoch, intent, leg, attempt)) in ledger.orders:\n"
        "            attempt += 1\n",
        "        cid = client_id(ledger.instance, ledger.epoch, intent, leg, 1)\n",
        "tests/servos/test_stops.py",
    ),
    one(
        "one look proves an order absent", "I3", ASKING,
        "NOT_FOUND_TWICE_NS: Final = 10_000_000_000", "NOT_FOUND_TWICE_NS: Final = 0", "tests/servos/test_unknown.py",
    ),
    one(
        "an unknown outcome is a refusal", "I3", MANAGER,
        "        elif result.outcome is Outcome.UNKNOWN:\n            if order.status in",
        "        elif result.outcome is Outcome.ABSENT:\n            if order.status in",
    ),
    one(
        "a card is approved unseen", "I4", COPILOT,
        "        if command.shown != proposal.shown:\n", "        if False:\n",
    ),
    Mutant(
        "a card is approved twice", "I4",
        (
            (COPILOT, "        if not proposal.status.open:\n            return f\"{proposal.handle} is already {proposal.status}\"\n        if turn", "        if turn"),
            (DESK, "        if not turn.ledger.proposals[proposal.id].status.open:\n", "        if False:\n"),
            (GUARDS, "    if symbol in ledger.positions:\n", "    if symbol in ():\n"),
            (GUARDS, '    return allow("symbol") if entry is None else refuse(', '    return allow("symbol") if True else refuse('),
        ),
    ),
    one(
        "the naked deadline only speaks", "I5", PROTECTION,
        "        self.leave(turn, position, abs(position.qty), cap=cap)\n", "",
    ),
    one(
        "a stop of half the size", "I5", LADDER,
        "            qty=need,\n            price=", "            qty=need / 2,\n            price=",
    ),
    one(
        "a stop that is too small is good enough", "I5", PROTECTION,
        "if order.leaves == need and order.trigger", "if order.leaves <= need and order.trigger",
    ),
    one(
        "a stop that was taken away is not missed", "I5", MANAGER,
        "else 4_000_000_000 for leg", "else 4_000_000_000_000 for leg", "tests/servos/test_stops.py",
    ),
    one(
        "one exit that nobody answers for holds back all others", "I5", PROTECTION,
        "(EXIT_PATIENCE_MS << len(exits)) // 2 * 1_000_000", "10**18", "tests/servos/test_exits_owed.py",
    ),
    one(
        "an exit waits for nothing", "I5", PROTECTION,
        "        if wait_ns > 0:\n", "        if False:\n", "tests/servos/test_exits_owed.py",
    ),
    one(
        "crashing buys a naked position time", "I5", PROTECTION,
        "CRASHING_MS: Final = 1_000", "CRASHING_MS: Final = 60_000", "tests/core/test_restart.py",
    ),
    one("an exit may flip", "I6", TURN, "reduce_only=leg is not Leg.ENTRY", "reduce_only=False"),
    one(
        "longs are bought in the black swan", "I7", GUARDS,
        "    if lock is None or case.signal.side is not Side.BUY:\n", "    if lock is None or case.signal.side is Side.BUY:\n",
    ),
    one(
        "longs stay in the black swan", "I7", ENGINE,
        '            count = self.manager.exit_all(turn, SENTINEL, longs_only=True)\n', "            count = 0\n",
        "tests/core/test_black_swan.py",
    ),
    one(
        "shorts go in the black swan too", "I7", MANAGER,
        "            if not longs_only or position.qty > 0:\n", "            if not longs_only or position.qty:\n",
    ),
    Mutant(
        "HALT lets entries pass", "I8",
        (
            (GUARDS, "    if case.ledger.state is TradingState.ACTIVE:\n", "    if case.ledger.state:\n"),
            (E + "shield/manager.py", "            latched(ledger)\n            or unseen", "            unseen"),
        ),
    ),
    one(
        "HALT leaves entries working", "I8", ENGINE,
        '        self.copilot.expire_all(turn, "HALT")\n        count = self.manager.cancel_entries(turn)\n',
        '        self.copilot.expire_all(turn, "HALT")\n        count = 0\n',
        "tests/core/test_withdrawn.py tests/core/test_engine.py",
    ),
    one(
        "a start forgets the latches", "I8", LEDGER,
        "        self.lease_until_ns = 0\n        self.ended = False\n\n    def", "        self.latches.clear()\n        self.ended = False\n\n    def",
    ),
    one("COPILOT asks nobody", "I9", DESK, "        if mode is Mode.PILOT:\n", "        if mode is not Mode.WATCHER:\n"),
    Mutant(
        "WATCHER lets what waits pass", "I9",
        (
            (ENGINE, "        if command.mode is Mode.WATCHER:\n", "        if False:\n"),
            (DESK, "        if mode is Mode.WATCHER:\n            return", "        if False:\n            return"),
        ),
    ),
    Mutant(
        "an execution told twice counts twice", "I10",
        (
            (MANAGER, "        if order is None or ledger.has_trade(fill):\n", "        if order is None:\n"),
            (LEDGER, "        if self.has_trade(fill):\n            return\n", ""),
        ),
    ),
    Mutant(
        "an order that ended goes on", "I11",
        (
            (LEDGER, "        if order.status.terminal:\n            return\n", ""),
            (MANAGER, "        elif order.status.terminal:\n            if status.resting:\n", "        elif order.status is OrderStatus.REJECTED:\n            if status.resting:\n"),
        ),
    ),
    one(
        "a state that no fact made", "I12", PROTECTION,
        "            turn.record(Naked(at_ns=turn.at_ns, symbol=position.symbol, since_ns=turn.at_ns))\n",
        "            turn.ledger.apply(Naked(at_ns=turn.at_ns, symbol=position.symbol, since_ns=turn.at_ns))\n",
    ),
    one(
        "a turn's first fact is not written", "I12", CARRIER,
        "        self._write([effect.fact for effect in effects if type(effect) is Record])\n",
        "        self._write([effect.fact for effect in effects if type(effect) is Record][1:])\n",
    ),
    one(
        "what guarded a closed position stays", "I13", PROTECTION,
        "            if order.leg not in (Leg.ENTRY, Leg.FOREIGN) and not", "            if order.leg is Leg.FOREIGN and not",
    ),
    one(
        "orders of ours that the journal lost stay", "I13", RECONCILE,
        "                turn.effects.append(Cancel(client_id=cid, symbol=symbol, conditional=report.conditional))\n", "",
    ),
    one(
        "what the venue lost is believed for ever", "I13", RECONCILE,
        "doubts.get(symbol) != (held, ours):\n", "doubts.get(symbol) != (ours, held):\n",
    ),
    one(
        "a reading older than our fills is believed", "I5 I13", RECONCILE,
        "doubts.get(symbol) != (held, ours):\n", "doubts.get(symbol, (None,))[0] != held:\n",
        "tests/servos/test_reconcile.py",
    ),
    one(
        "foreign orders are cancelled", "I14", RECONCILE,
        "            mine = is_ours(cid, ledger.instance) and not", "            mine = bool(cid) and not",
    ),
    one("data of any age will do", "I15", STALENESS, "    if quote.age_ms > limit_ms:\n", "    if quote.age_ms < 0:\n", "tests/shield/test_signal_guards.py"),
    one(
        "a book with a gap is served", "I16", MARKET,
        "    def invalid(self, event: BookInvalid) -> None:\n        state = self.symbols.get(event.symbol)\n        if state is not None:\n            state.book.invalidate()\n",
        "    def invalid(self, event: BookInvalid) -> None:\n        return\n",
    ),
    one(
        "one tick is a black swan", "I17", SWAN,
        "        middle = ranked[self._size // 2]\n", "        middle = price\n", "tests/shield/test_blackswan.py",
    ),
    one("the mark has no say in a swan", "I17", SWAN, "MARK_SHARE: Final = 0.5", "MARK_SHARE: Final = 0.0", "tests/shield/test_blackswan.py"),
    one(
        "requests while the venue wants silence", "I18", LIMITS,
        "        if urgency is not Urgency.EXIT and mono < self._quiet_until_mono:\n",
        "        if urgency is Urgency.NORMAL and mono > self._quiet_until_mono:\n",
        "tests/uplink/test_limits.py",
    ),
    one("no weight is kept for exits", "I18", LIMITS, "RESERVE: Final = 0.2", "RESERVE: Final = 0.0", "tests/uplink/test_limits.py"),
    one(
        "a lease by the wall clock", "I19", LEASE,
        "return min(ledger.lease_until_ns - at_ns, self.until_mono_ns - mono_ns)", "return ledger.lease_until_ns - at_ns",
        "tests/shield/test_lease.py tests/core/test_real_money.py",
    ),
    one(
        "a card's age by the wall clock", "I19", COPILOT,
        "        if turn.mono_ns >= proposal.expires_mono_ns:\n", "        if turn.at_ns >= proposal.expires_ns + 10**15:\n",
        "tests/servos/test_decisions.py tests/servos/test_edit.py",
    ),
    one("a quantity is rounded up", "I20", INSTRUMENTS, "to_integral_value(ROUND_DOWN)", "to_integral_value(ROUND_CEILING)"),
    one("a quantity is not rounded", "I20", INSTRUMENTS, "((exact / self.step).to_integral_value(ROUND_DOWN) * self.step).quantize(self.step)", "exact"),
    one(
        "another Nexus is nobody", "I22", MANAGER,
        "        if foreign and Latch.PROTECT_ONLY not in ledger.latches:\n", "        if foreign and Latch.PROTECT_ONLY in ledger.latches:\n",
    ),
    one(
        "two processes hold one account", "I22", LOCK,
        "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        "tests/store/test_account_lock.py",
    ),
    one("a secret is printed", "I23", SECRET, "    def __str__(self) -> str:\n        return MASK\n", "    def __str__(self) -> str:\n        return self.__value\n", "tests/model/test_secret.py"),
    one(
        "what a person holds a position for is for ever", "I5", LADDER,
        "        if symbol in turn.ledger.holds:\n            return", "        if symbol in ():\n            return",
        "tests/servos/test_naked_ladder.py",
    ),
    one(
        "no other kind of stop is tried", "I5", LADDER,
        "_last_kind(turn, position) is OrderKind.STOP_MARKET:", "_last_kind(turn, position) is OrderKind.LIMIT:",
        "tests/servos/test_naked_ladder.py",
    ),
    one(
        "an exit at a limit is the last rung", "I5", PROTECTION,
        "if turn.ledger.rungs.get(symbol) is Rung.LIMIT:\n                self.ladder.climb(turn, symbol, Rung.MARKET)\n            self.leave(",
        "if turn.ledger.rungs.get(symbol) is Rung.LIMIT:\n                return\n            self.leave(",
        "tests/servos/test_naked_ladder.py",
    ),
    one(
        "a stop-limit is not chased", "I5", MANAGER, "            self.protection.chase(turn, position)\n", "",
        "tests/servos/test_naked_ladder.py",
    ),
    one(
        "a stop that has stopped filling is believed", "I5", MANAGER,
        "            self.protection.doubt(turn, position)\n", "", "tests/servos/test_stalled.py",
    ),
    one(
        "a stop that is not seen to is believed", "I5", PROTECTION,
        "        return bool(order.filled) or turn.mono_ns", "        return bool(order.filled) or 0 * turn.mono_ns",
        "tests/servos/test_stalled.py",
    ),
    one(
        "a rearmed swan lets longs in by any word", "I7", ENGINE, '        if command.word != "swan":\n', "        if False:\n",
        "tests/shield/test_blackswan_ladder.py tests/core/test_black_swan.py tests/core/test_withdrawn.py",
    ),
    one(
        "an alert of the swan keeps no long away", "I7", GUARDS,
        "held(case.ledger, SWAN_LOCK, case.market_ns) or held(case.ledger, SWAN_ALERT, case.market_ns)",
        "held(case.ledger, SWAN_LOCK, case.market_ns)", "tests/servos/test_breakers.py",
    ),
    one(
        "a lost journal does not latch", "I8", HINDRANCES,
        "event.latch and event.problem and Latch", "event.latch and not event.problem and Latch",
        "tests/core/test_hindrances.py",
    ),
    one(
        "no crash loop is noticed", "I8", PRESENCE, "len(ledger.crashes) >= limit", "len(ledger.crashes) > 10 * limit",
        "tests/core/test_presence.py",
    ),
    one(
        "an empty chair may trade", "I9", PRESENCE,
        "turn.mono_ns - self._seen_mono >= self._limit_ns", "turn.mono_ns - self._seen_mono >= 9 * self._limit_ns",
        "tests/core/test_presence.py",
    ),
    one(
        "a strategy's own mode is nobody's", "I9", ENGINE,
        "return min(most, self.mode, key=lambda mode: mode.rank)", "return max(most, self.mode, key=lambda mode: mode.rank)",
        "tests/core/test_roles.py",
    ),
    one(
        "the shark hunts while nobody knows", "I15", GUARDS,
        "    if state is Macro.SHARK:\n", "    if state is not Macro.NEUTRAL:\n", "tests/shield/test_macro.py",
    ),
    one(
        "old samples are believed for ever", "I15", MACRO, "MISSED: Final = 3\n", "MISSED: Final = 3_000\n",
        "tests/shield/test_macro.py",
    ),
    one(
        "a storm of refusals stops nothing", "I21", BREAKER,
        "    if count >= config.rejects_in_row:\n", "    if count >= 10 * config.rejects_in_row:\n",
        "tests/servos/test_breakers.py",
    ),
    one(
        "what our own carrier withdrew is a refusal", "I21", BREAKER,
        "            count += order.reason not in UNSENT and order.tif is not TimeInForce.GTX\n",
        "            count += 1\n",
        "tests/servos/test_breakers.py",
    ),
    one(
        "orders a minute are not counted", "I21", BREAKER,
        "    if count > config.orders_a_minute:\n", "    if count > 10 * config.orders_a_minute:\n",
        "tests/servos/test_breakers.py",
    ),
    one(
        "orders a day are not counted", "I21", BREAKER,
        "    if ledger.day_orders < config.orders_a_day:\n", "    if ledger.day_orders < 10 * config.orders_a_day:\n",
        "tests/servos/test_breakers.py",
    ),
    one(
        "a symbol's refusals lock all of them", "I21", GUARDS,
        "frozenset((case.signal.symbol, case.signal.strategy))", "frozenset((case.signal.strategy,))",
        "tests/servos/test_breakers.py tests/shield/test_protections.py",
    ),
    one(
        "what another machine may have placed is cancelled", "I22", RECONCILE,
        "if mine and not self._manager.fenced:", "if mine:", "tests/core/test_hindrances.py",
    ),
    one(
        "a machine that was fenced off works on", "I22", ENGINE,
        "        if self.hindrances.first:\n            return self.hindrances.first\n", "", "tests/core/test_hindrances.py",
    ),
    one(
        "whoever asks may", "I24", PEOPLE, "        if held.rank >= role.rank:\n", "        if held.rank >= 0:\n",
        "tests/core/test_roles.py",
    ),
    one(
        "a name that nobody listed is an owner", "I24", PEOPLE,
        "return Role.VIEWER if person is None else person.role", "return Role.OWNER if person is None else person.role",
        "tests/core/test_roles.py tests/model/test_people.py",
    ),
    one(
        "a trader takes the mode up", "I24", PEOPLE,
        "command.mode.rank > mode.rank:\n        return Role.OWNER", "command.mode.rank > mode.rank:\n        return Role.TRADER",
        "tests/core/test_roles.py",
    ),
    one(
        "a refused command is done all the same", "I24", ENGINE,
        "self.notebook.refuse(turn.at_ns, subject, event.by, refusal)\n            return\n",
        "self.notebook.refuse(turn.at_ns, subject, event.by, refusal)\n", "tests/core/test_roles.py",
    ),
    one(
        "a new day forgives the breaker", "I8 I9", LEDGER,
        "        self.day_from = fact.equity\n",
        "        self.day_from = fact.equity\n        self.latches.pop(Latch.BREAKER, None)\n",
        "tests/core/test_latches.py",
    ),
    one(
        "a transfer that is listed again is another one", "I10", TRANSFERS,
        "if row.id in ids or not row.amount:", "if not row.amount:", "tests/core/test_transfers.py",
    ),
    one(
        "a withdrawal looks like a loss", "I10", LEDGER,
        "peak=self.peak_ns < moved_ns", "peak=self.peak_ns < 0", "tests/core/test_transfers.py",
    ),
    one(
        "what an adopted position lost before is a drawdown", "I10", LEDGER,
        "self._moved(fact.carried, fact.before)", "self._moved(fact.carried, fact.before, peak=False)",
        "tests/servos/test_byhand.py",
    ),
    one(
        "the guard on the day's loss does not see what is open", "I10", E + "core/engine.py",
        "day_pnl = accounting.day_pnl(self.ledger, self.market.marks())",
        "day_pnl = self.ledger.day_realised - self.ledger.day_fees", "tests/core/test_loss_left.py",
    ),
    one(
        "the contract alone is believed without volume", "I17", SWAN,
        "times is None or times > self._volume", "times is None or times >= 0", "tests/shield/test_blackswan_volume.py",
    ),
    one(
        "an approval does not look at the squeeze", "I4", DESK,
        "blocked = self.blocked(turn) or self.objection(turn, signal)\n", "blocked = self.blocked(turn)\n",
        "tests/core/test_hunt.py",
    ),
    one(
        "a strategy that lost goes on", "I28", SIZING,
        "    if kelly_pct == 0:\n", "    if kelly_pct is NotImplemented:\n", "tests/servos/test_edge.py",
    ),
    one(
        "a cockpit that never reads is kept for ever", "I25", CONTROL,
        "                async with asyncio.timeout(_ANSWER_S):\n                    await writer.drain()\n", "",
        "tests/runtime/test_runtime_control.py::test_a_client_that_never_reads_is_cut",
    ),
    one(
        "any number of facts may wait for the disk", "I26", SQLITE,
        "writer.waiting + len(facts) > MAX_WAITING", "writer.waiting + len(facts) > MAX_WAITING * 1_000",
        "tests/store/test_journal_failures.py",
    ),
    one(
        "an exit is tried once", "I27", PROTECTION,
        "if self._exit_under_way(turn, position) or self._unknowable_exit(turn, symbol):", "if position.leaving:",
        "tests/servos/test_exits_owed.py",
    ),
    one(
        "a model with a number that is none is taken", "I29", MODEL,
        "array.size == 0 or not np.isfinite(array).all()", "array.size == 0", "tests/cortex/test_regime_model.py",
    ),
    one(
        "a model speaks on features that are missing", "I29", BOOK,
        "        if not np.isfinite(row).all():\n", "        if not np.isfinite(row).any():\n",
        "tests/cortex/test_regime_book.py",
    ),
    one(
        "every order that ever was is remembered", "I30", LEDGER,
        "        if len(self.orders) > KEPT_ORDERS * 2:\n", "        if len(self.orders) > KEPT_ORDERS * 2_000:\n",
        "tests/model/test_ledger.py",
    ),
    one(
        "every look of a strategy is remembered", "I30", WHY,
        "deque(maxlen=KEPT)", "deque()", "tests/core/test_view.py",
    ),
    one(
        "the core looks at a clock of its own", "I19 I32", ASKING,
        "        if turn.mono_ns - first >= NOT_FOUND_TWICE_NS:\n",
        "        import time\n\n        if time.monotonic_ns() - first >= NOT_FOUND_TWICE_NS:\n",
        "tests/core/test_core_is_pure.py",
    ),
    one(
        "decisions come in the order of a set", "I32", RECONCILE,
        "in sorted({*venue, *ledger.positions, *ledger.foreign, *self._manager.venue_qty}):",
        "in {*venue, *ledger.positions, *ledger.foreign, *self._manager.venue_qty}:",
        "tests/core/test_determinism.py",
    ),
    one(
        "a leave closes what it did not open", "I14", FACTORY,
        "if one.name == name and isinstance(one, Leaver)", "if isinstance(one, Leaver)",
        "tests/cortex/test_factory.py",
    ),
    one(
        "a strategy leaves at a close from before it held anything", "I14", FACTORY,
        " <= held.since_ns:\n", " <= 0:\n", "tests/cortex/test_factory.py",
    ),
    one(
        "a strategy leaves a short in a black swan", "I7", MANAGER,
        "        if position.leaving or (position.qty < 0 and _swan(turn)):\n", "        if position.leaving:\n",
        "tests/servos/test_strategy_leaves.py",
    ),
    one(
        "a close that nobody saw is not looked at", "I27", ENGINE,
        '                self._leave(turn, event.symbol, event.interval, event.bars[-1])\n', "                pass\n",
        "tests/servos/test_strategy_leaves.py",
    ),
    one(
        "a leave forgets what it was for", "I12", PROTECTION,
        "intent=held, leave=leave))", "intent=held))", "tests/servos/test_strategy_leaves.py",
    ),
    one(
        "a signal that waited enters at any price", "I4", DESK,
        "            objection = objection or self._left(turn, signal)\n", "            pass\n",
        "tests/core/test_waiting.py",
    ),
    one(
        "a settlement of funding is not waited out", "I4", DESK,
        "        elif objection and (until_ns := _waits(verdicts)):\n", "        elif objection and (until_ns := _waits(())):\n",
        "tests/core/test_waiting.py",
    ),
    one(
        "an order of any size on a thin book", "I1", EXPOSURE,
        "    if qty <= most:\n", "    if qty:\n", "tests/core/test_thin_book.py",
    ),
    one(
        "what hardly trades is traded", "I1", GUARDS,
        "    if traded >= limit * 1e6:\n", "    if traded >= limit:\n", "tests/shield/test_signal_guards.py",
    ),
)  # fmt: skip
