"""Everything that is measured, by name."""

from __future__ import annotations

from dataclasses import dataclass

from bench.submits import MIXED_MESSAGES, MIXED_SUBMITS


@dataclass(frozen=True)
class Scenario:
    """One thing measured. `binds` 0 is a bare engine with `window` POSTs in flight."""

    engine: str
    binds: int
    window: int
    messages: bool = True  # a log line per message
    parts: int = 1  # that each message consists of
    pending: int = 0  # messages of which the gateway already holds the first part
    tree: str = ""  # whose gateway it is, when not the installed one
    receipts: str = ""  # "asked", "not asked"; only told for a gateway that is called back
    latency: int | None = None  # milliseconds of the API, where rows differ in it
    mixed: bool = False  # short ones, others, and long ones; see `bench.submits.Mixed`
    part: str = ""  # of the bench, whose rows are its own though others are alike

    @property
    def submits_per_request(self) -> float:
        return MIXED_SUBMITS / MIXED_MESSAGES if self.mixed else self.parts

    @property
    def name(self) -> str:
        if not self.binds:
            return f"bare {self.engine}, {self.window} in flight"
        name = f"gateway {self.engine}, {self.binds} x {self.window}"
        if not self.messages:
            name += ", log.messages off"
        if self.parts > 1:
            name += f", {self.parts} parts a message"
        if self.mixed:
            name += ", mixed"
        if self.pending:
            name += f", {self.pending:,} sets pending"
        if self.receipts:
            name += f", receipts {self.receipts}"
        if self.latency is not None:
            name += f", API latency {self.latency} ms"
        return f"{name}, {self.tree}" if self.tree else name


@dataclass(frozen=True)
class LimitScenario:
    """Full windows in front of an API that takes LIMIT requests a second."""

    bulk: str  # "auto", "off"
    binds: int
    window: int

    @property
    def name(self) -> str:
        return f'gateway, {self.binds} x {self.window}, bulk = "{self.bulk}"'


@dataclass(frozen=True)
class BulkScenario:
    """The body of a request of so many messages is made, and the answer to it is read."""

    messages: int

    @property
    def name(self) -> str:
        return f"{self.messages:,} messages in a request"


@dataclass(frozen=True)
class CallbackScenario:
    """Callbacks posted over `connections`, their receipts taken by two receivers x 100.

    With `bare` a mere twisted.web handler takes the callbacks, and there are no receipts.
    """

    connections: int
    bare: bool = False
    messages: bool = True  # a log line for each callback and each receipt

    @property
    def name(self) -> str:
        name = "bare twisted.web handler" if self.bare else "gateway, callbacks to receipts"
        name += f", {self.connections} connections"
        return name if self.messages else f"{name}, log.messages off"


@dataclass(frozen=True)
class BacklogScenario:
    """`taken` receipts delivered while at least `waiting` others wait in the store."""

    waiting: int
    taken: int = 20_000

    @property
    def name(self) -> str:
        return f"gateway, {self.taken:,} receipts taken, {self.waiting:,} waiting behind"


@dataclass(frozen=True)
class PacedScenario:
    """Messages at a steady pace over `binds`, whatever their answers take."""

    binds: int
    rate: int  # messages/s
    idle: int = 0  # further binds that only answer enquire_link
    storm: str = ""  # from where STORM binds/s with wrong passwords come meanwhile
    bulk: str = ""  # "auto", "off": it is another account than that which may flood
    flood: int = 0  # messages that the other account has in flight meanwhile

    @property
    def name(self) -> str:
        name = f"gateway, {self.rate:,} messages/s over {self.binds} binds"
        if self.bulk:
            name += f', bulk = "{self.bulk}"'
            name += f", {self.flood:,} of another account in flight" if self.flood else ", alone"
        if self.idle:
            name += f", {self.idle:,} more idle"
        return f"{name}, storm from {self.storm}" if self.storm else name


Measured = (
    Scenario | LimitScenario | BulkScenario | CallbackScenario | BacklogScenario | PacedScenario
)

BARE = Scenario("pycurl", 0, 400)
BARE_LIBCURL = Scenario("libcurl", 0, 400)
BARE_REQUESTS = Scenario("requests", 0, 400)
BARE_ONE = Scenario("pycurl", 0, 1)
BARE_LIBCURL_ONE = Scenario("libcurl", 0, 1)
LIBCURL = Scenario("libcurl", 4, 100)
LIBCURL_QUIET = Scenario("libcurl", 4, 100, messages=False)
REQUESTS = Scenario("requests", 4, 100)
LIBCURL_ONE = Scenario("libcurl", 1, 1)

# Compared with each other, so measured in turn, round after round.
COMPARED = (
    BARE,
    LIBCURL,
    BARE_LIBCURL,
    LIBCURL_QUIET,
    REQUESTS,
    BARE_REQUESTS,
    BARE_ONE,
    LIBCURL_ONE,
    BARE_LIBCURL_ONE,
)
MATRIX = tuple(
    Scenario(engine, binds, window)
    for engine in ("libcurl", "requests")
    for binds in (1, 4, 100)
    for window in (1, 10, 100)
)

# A git revision and the work tree; both are run from their folders.
THIS_TREE = Scenario("libcurl", 4, 100, tree="this tree")
REVISION = Scenario("libcurl", 4, 100, tree="the revision")
AGAINST = (THIS_TREE, REVISION)

PARTS = Scenario("libcurl", 4, 100, parts=2)
FEW_PENDING = Scenario("libcurl", 4, 100, parts=2, pending=100)
MANY_PENDING = Scenario("libcurl", 4, 100, parts=2, pending=100_000)
PENDING = (FEW_PENDING, MANY_PENDING)

CALLBACKS = CallbackScenario(64)
CALLBACKS_QUIET = CallbackScenario(64, messages=False)
BARE_WEB = CallbackScenario(64, bare=True)
RECEIPTS = (CALLBACKS, BARE_WEB, CALLBACKS_QUIET)

FEW_WAITING = BacklogScenario(1_000)
MANY_WAITING = BacklogScenario(1_000_000)
BACKLOG = (FEW_WAITING, MANY_WAITING)

ASKED = Scenario("libcurl", 4, 100, receipts="asked")
NOT_ASKED = Scenario("libcurl", 4, 100, receipts="not asked")
BARE_BESIDE = Scenario("pycurl", 0, 400, part="throughput")
THROUGHPUT = (BARE_BESIDE, NOT_ASKED, ASKED)

# As many in flight whatever the API takes: 200 ms of 20,000 messages/s are 4,000.
AT_ONCE, AFTER_50, AFTER_200 = (
    Scenario("libcurl", 10, 500, latency=latency) for latency in (0, 50, 200)
)
LATENCIES = (AT_ONCE, AFTER_50, AFTER_200)

# A thousand in flight each time.
ONE_BIND, FOUR_BINDS, HUNDRED_BINDS, THOUSAND_BINDS = SCALE = tuple(
    Scenario("libcurl", binds, 1_000 // binds, part="scale") for binds in (1, 4, 100, 1_000)
)

MIXED = Scenario("libcurl", 4, 100, mixed=True, receipts="asked")

LIMIT = 150  # requests/s
LIMIT_LATENCY = 100  # milliseconds
BULK = LimitScenario("auto", 10, 300)
# So many are in flight for long: each waits for its own request.
ONE_TO_ONE = LimitScenario("off", 4, 10)
LIMITED = (BULK, ONE_TO_ONE)
BULK_TEN, BULK_HUNDRED, BULK_THOUSAND = BULK_COST = tuple(
    BulkScenario(messages) for messages in (10, 100, 1_000)
)

# One account, and one that floods.
FAIR_ALONE = PacedScenario(2, 50, bulk="auto")
FAIR_FLOODED = PacedScenario(2, 50, bulk="auto", flood=3_000)
FAIR_ALONE_OFF = PacedScenario(2, 50, bulk="off")
FAIR_FLOODED_OFF = PacedScenario(2, 50, bulk="off", flood=1_000)
FAIR = (FAIR_ALONE, FAIR_FLOODED, FAIR_ALONE_OFF, FAIR_FLOODED_OFF)

# 5,000 binds in all.
FEW_BOUND = PacedScenario(50, 1_000)
MANY_BOUND = PacedScenario(50, 1_000, idle=4_950)
BINDS = (FEW_BOUND, MANY_BOUND)

STORM = 500  # binds/s with wrong passwords
CALM = PacedScenario(4, 200)
STORM_OF_ONE = PacedScenario(4, 200, storm="one address")
STORM_OF_MANY = PacedScenario(4, 200, storm="many addresses")
STORMS = (CALM, STORM_OF_ONE, STORM_OF_MANY)
