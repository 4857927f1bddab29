"""Prices computed from an ERP's rules, set-wise, in PostgreSQL: all of them, or those that a change touches.

R rules and E entries take O(R log R + E log E), however many customers and articles there are; k changed rules about k
entries. Asking an ERP price by price takes a thousand times as long: that is left for the proof, and for what these
rules cannot say.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql
from psycopg.rows import namedtuple_row

from crossdock.domain.price import BASE, Article, Member, Question, Rule, Span, spans
from crossdock.errors import Reject
from crossdock.ports import PriceRules, Wanted

log = logging.getLogger(__name__)

MOVES = Decimal("0.5")
"""A price that moves by more than this share of what the shop was told last is doubted."""
_PAGE = 5_000
_ASKED = 500
"""Entries whose prices are asked for at a time."""
_DAY = timedelta(days=1)

Kind = Literal["member", "rule", "article"]
_FIELDS: dict[Kind, tuple[str, ...]] = {"member": Member._fields, "rule": Rule._fields, "article": Article._fields}

_LISTS: LiteralString = "JOIN price_list l ON l.pair = %(pair)s"
_RULES: LiteralString = "price_rule r"
_OURS: LiteralString = "r.pair = %(pair)s AND r.layer = l.layer"
_ALIVE: LiteralString = """
    CASE WHEN l.code = l.layer
         THEN r.starts_at IS NULL AND r.ends_at IS NULL
         ELSE (r.starts_at IS NULL OR coalesce(r.starts_at <= l.starts_at, false))
          AND (r.ends_at IS NULL OR coalesce(r.ends_at >= l.ends_at, false))
    END
    """
"""Whether rule ``r`` holds in list ``l``: in a span of time all of it, else if it always holds."""
_ALWAYS: LiteralString = """
    AND l.starts_at IS NULL AND l.ends_at IS NULL AND r.starts_at IS NULL AND r.ends_at IS NULL
    """
_BY_ARTICLE: LiteralString = "r.article = a.id AND (r.category IS NULL OR r.category = ANY(a.categories))"
_BY_CATEGORY: LiteralString = "r.article IS NULL AND r.category = ANY(a.categories)"
_BY_NOTHING: LiteralString = "r.article IS NULL AND r.category IS NULL"
_FITS: tuple[LiteralString, ...] = (_BY_ARTICLE, _BY_CATEGORY, _BY_NOTHING)
"""Whether rule ``r`` fits article ``a``: three joins, for PostgreSQL has no plan for one of them all."""

_NAMED: tuple[LiteralString, LiteralString] = ("touched", "dated")
_ALL: tuple[LiteralString, ...] = tuple(
    "FROM price_list l JOIN price_rule r ON " + _OURS + " AND " + _ALIVE + " JOIN " + articles
    + " WHERE l.pair = %(pair)s"
    for articles in (
        "price_article a ON a.pair = %(pair)s AND " + _BY_ARTICLE,
        "(SELECT p.*, unnest(p.categories) AS category FROM price_article p WHERE p.pair = %(pair)s) a "
        "ON r.article IS NULL AND r.category = a.category",
        "price_article a ON a.pair = %(pair)s AND " + _BY_NOTHING,
    )
)  # fmt: skip
_TOUCHED, _DATED = (
    tuple(
        "FROM " + table + " t JOIN price_list l ON (l.pair, l.code) = (%(pair)s, t.list) "
        "JOIN price_article a ON (a.pair, a.sku) = (%(pair)s, t.sku) "
        "JOIN price_rule r ON " + _OURS + " AND " + fits + " AND " + _ALIVE + " WHERE true"
        for fits in _FITS
    )
    for table in _NAMED
)  # fmt: skip
"""Which rules fit which articles in which lists: all of them, where something was touched, where something is dated."""


def _dated(which: tuple[LiteralString, ...]) -> LiteralString:
    """(list, SKU) where a dated rule has a say: only there something else holds than what always does."""
    rules: LiteralString = " AND l.code <> l.layer AND (r.starts_at IS NOT NULL OR r.ends_at IS NOT NULL)"
    return " UNION ".join("SELECT l.code AS list, a.sku " + some + rules for some in which)


def _fresh(partly: bool) -> LiteralString:
    """What each list says of each SKU: where something was touched, or everywhere.

    Of the candidates one per quantity, and of those each that no better one from fewer pieces on has beaten; then
    borders at which nothing changes are left out. In the order of the key of ``price_entry``.
    """
    candidate: LiteralString = """
        SELECT l.code AS list, a.sku, a.id AS article, r.id, r.min_quantity AS least, r.place, r.gross, a.tax_rate,
               CASE WHEN r.list_factor = 0 THEN 0 ELSE r.list_factor * a.list_price END
               + CASE WHEN r.cost_factor = 0 THEN 0 ELSE r.cost_factor * coalesce(a.cost_price, 0) END
               + r.constant AS computed,
               r.asked OR a.asked OR (r.gross AND a.tax_rate IS NULL) AS asked
        """
    if partly:
        told: LiteralString = " AND (l.code = l.layer OR (l.code, a.sku) IN (SELECT list, sku FROM dated))"
        candidates = [candidate + some + told for some in _TOUCHED]
    else:
        candidates = [candidate + some + _ALWAYS for some in _ALL]
        candidates += [candidate + some for some in _DATED]
    return _FRESH[0] + " UNION ALL ".join(candidates) + _FRESH[1]


_FRESH: tuple[LiteralString, LiteralString] = (
    """
    SELECT list, sku, min(article) AS article, array_agg(least ORDER BY least) AS quantities,
           array_agg(trim_scale(amount) ORDER BY least) AS amounts, array_agg(asked ORDER BY least) AS asked,
           '' AS refused
    FROM (
        SELECT *, lag(least) OVER w IS NOT NULL AND NOT asked AND NOT lag(asked) OVER w
                  AND lag(amount) OVER w IS NOT DISTINCT FROM amount AS same
        FROM (
            SELECT list, sku, article, least, asked,
                   CASE WHEN asked THEN NULL
                        WHEN gross THEN price_round(price_round(computed) / (1 + tax_rate))
                        ELSE price_round(computed)
                   END AS amount
            FROM (
                SELECT DISTINCT ON (sku, list, least) *,
                       min(place) OVER (PARTITION BY sku, list ORDER BY least) AS lowest
                FROM (""",
    """
                ) candidate
                ORDER BY sku, list, least, place, id
            ) best
            WHERE place = lowest
        ) tier
        WINDOW w AS (PARTITION BY sku, list ORDER BY least)
    ) border
    WHERE NOT same
    GROUP BY sku, list
    """,
)
_TOUCHED_ENTRIES: LiteralString = "touched JOIN price_entry USING (list, sku)"
_CHANGE: tuple[LiteralString, LiteralString] = (
    """
    WITH old AS (SELECT price_entry.* FROM """,
    """ WHERE pair = %(pair)s),
    change AS (
        SELECT list, sku, coalesce(f.article, o.article) AS article, coalesce(f.quantities, '{}') AS quantities,
               coalesce(f.amounts, '{}') AS amounts, coalesce(cardinality(array_positions(f.asked, true)), 0) AS asked,
               coalesce(f.refused, '') AS refused,
               CASE WHEN l.synced_at >= o.evaluated_at THEN o.quantities ELSE o.told_quantities END AS old_quantities,
               CASE WHEN l.synced_at >= o.evaluated_at THEN o.amounts ELSE o.told_amounts END AS old_amounts
        FROM old o
        LEFT JOIN fresh f USING (list, sku)
        LEFT JOIN ledger l ON (l.pair, l.flow, l.key) = (%(pair)s, 'prices', o.list || '|' || o.sku)
        WHERE (o.quantities, o.amounts, o.refused)
              IS DISTINCT FROM (coalesce(f.quantities, '{}'), coalesce(f.amounts, '{}'), coalesce(f.refused, ''))
    )
    UPDATE price_entry e
    SET article = c.article, quantities = c.quantities, amounts = c.amounts, asked = c.asked, refused = c.refused,
        told_quantities = c.old_quantities, told_amounts = c.old_amounts, evaluated_at = now(), changed_at = %(now)s,
        doubt = CASE
            WHEN 0 = ANY(c.amounts) AND NOT coalesce(0 = ANY(c.old_amounts), false)
            THEN 'a price of zero'
            WHEN a.cost_price > ANY(c.amounts) AND NOT coalesce(a.cost_price > ANY(c.old_amounts), false)
            THEN 'below its cost price'
            WHEN c.old_quantities IS NULL
            THEN ''
            WHEN price_move(c.quantities, c.amounts, c.old_quantities, c.old_amounts) > %(moves)s
            THEN 'moves by '
                 || round(100 * price_move(c.quantities, c.amounts, c.old_quantities, c.old_amounts)) || ' %%'
            ELSE ''
        END
    FROM change c
    LEFT JOIN price_article a ON (a.pair, a.id) = (%(pair)s, c.article) AND NOT a.asked
    WHERE (e.pair, e.sku, e.list) = (%(pair)s, c.sku, c.list)
    """,
)
"""What the tiers come to, where it differs from what is kept, with what speaks against it."""
_ADD: LiteralString = """
    INSERT INTO price_entry (
        pair, list, sku, article, quantities, amounts, asked, doubt, refused, evaluated_at, changed_at
    )
    SELECT %(pair)s, f.list, f.sku, f.article, f.quantities, f.amounts,
           coalesce(cardinality(array_positions(f.asked, true)), 0),
           CASE WHEN 0 = ANY(f.amounts)
                THEN 'a price of zero'
                WHEN a.cost_price > ANY(f.amounts)
                THEN 'below its cost price'
                ELSE ''
           END,
           f.refused, now(), %(now)s
    FROM fresh f
    LEFT JOIN price_article a ON (a.pair, a.id) = (%(pair)s, f.article) AND NOT a.asked
    WHERE NOT EXISTS (SELECT FROM price_entry e WHERE (e.pair, e.sku, e.list) = (%(pair)s, f.sku, f.list))
    """
"""What nothing is kept of yet: no row can be in the way, one refresh at a time is at work."""


class Entry(NamedTuple):
    """What a list says of a SKU: from ``quantities[i]`` on ``amounts[i]``, None nothing."""

    price_list: str
    sku: str
    article: str
    quantities: list[int]
    amounts: list[Decimal | None]
    currency: str
    asked: int
    doubt: str
    refused: str


class Layered(NamedTuple):
    """A list as the shop is to have it; see ``domain.price.PriceList``."""

    code: str
    title: str
    audience: str
    rank: int
    starts_at: datetime | None
    ends_at: datetime | None


class Belongs(NamedTuple):
    """An account and all lists of its layers."""

    id: str
    account: str
    lists: list[str]
    refused: str


class Step(NamedTuple):
    """A rule that fits an article, for people: it ``wins``, or ``why`` it does not. The best ones come first."""

    layer: str
    words: str
    min_quantity: int
    amount: Decimal | None
    wins: bool
    why: str


class PriceBook:
    """The rules of one pair's ERP as they were read last, and what they come to. The connection is its own."""

    def __init__(self, connection: Connection[Any], pair: str, erp: PriceRules, overlap: timedelta) -> None:
        connection.autocommit = True
        connection.execute("SET search_path = crossdock")
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SET work_mem = '128MB'")
        connection.execute("SET jit = off")  # it takes longer to compile these statements than to run them
        self._db, self._pair, self._overlap = connection, pair, overlap
        self.erp = erp

    def _do(self, text: LiteralString, **values: Any) -> Cursor[Any]:
        return self._db.execute(text, {"pair": self._pair, **values})

    def _pages(self, text: LiteralString, **values: Any) -> Iterator[list[Any]]:
        with self._db.transaction(), self._db.cursor(name="price_pages", row_factory=namedtuple_row) as cursor:
            cursor.execute(text, {"pair": self._pair, **values})
            while page := cursor.fetchmany(_PAGE):
                yield page

    # ---- refresh

    def refresh(self, everything: bool = False) -> None:
        """Read what has changed of the rules, or everything, and compute what that touches. One transaction.

        What has changed is marked with the ERP's time: whoever asks for what changed since then finds it, again and
        again, whatever becomes of his run. Raises Retry or Stop as the ERP does; nothing has changed then.
        """
        with self._db.transaction():
            self._do("SELECT pg_advisory_xact_lock(hashtextextended('crossdock prices ' || %(pair)s, 0))")
            now, basis = self.erp.now(), self.erp.basis()
            state = self._do("SELECT basis, until FROM price_state WHERE pair = %(pair)s").fetchone()
            known = state is not None and state[0] == basis
            since = state[1] - self._overlap if state is not None and known and not everything else None
            self._keep_layers()
            for kind in _FIELDS:
                self._keep(kind, since)
            new, removed = self._keep_lists(now)
            if since is None:  # so much is new that PostgreSQL's statistics know nothing of it
                self._do("ANALYZE price_rule, price_article, price_list")
            else:
                self._touch(new, removed)
            written = self._evaluate(now, since is not None)
            self._do(
                """
                INSERT INTO price_state (pair, basis, until)
                VALUES (%(pair)s, %(basis)s, %(now)s)
                ON CONFLICT (pair) DO UPDATE SET basis = excluded.basis, until = excluded.until
                """,
                basis=basis,
                now=now,
            )
        log.info("prices (%s): %d entries have changed", self._pair, written)

    def _keep_layers(self) -> None:
        self._do("DELETE FROM price_layer WHERE pair = %(pair)s")
        with self._db.cursor() as cursor:
            cursor.executemany(
                """
                INSERT INTO price_layer (pair, code, title, audience, rank, currency)
                VALUES (%s, %s, %s, %s, %s, %s)
                """,
                [(self._pair, *layer) for layer in self.erp.layers()],
            )

    def _keep(self, kind: Kind, since: datetime | None) -> None:
        """The ERP's rows in place of ours; both versions of what differs are in ``moved_KIND`` until the commit.

        What is there and was not among the changes, however it came about, has everything read.
        """
        fields = list(map(sql.Identifier, _FIELDS[kind]))
        parts = {name: sql.Identifier(f"{name}_{kind}") for name in ("price", "came", "there", "moved")} | {
            "fields": sql.SQL(", ").join(fields),
            "ours": sql.SQL(", ").join(sql.SQL("k.{}").format(field) for field in fields),
            "theirs": sql.SQL(", ").join(sql.SQL("c.{}").format(field) for field in fields),
        }

        def do(text: LiteralString) -> Cursor[Any]:
            return self._db.execute(sql.SQL(text).format(**parts), {"pair": self._pair})

        def copy(text: LiteralString, pages: Iterable[Iterable[Sequence[Any]]]) -> None:
            with self._db.cursor() as cursor, cursor.copy(sql.SQL(text).format(**parts)) as rows:
                for page in pages:
                    for row in page:
                        rows.write_row(row)

        for temporary in ("came", "moved"):
            parts["new"] = parts[temporary]
            do("CREATE TEMP TABLE {new} ON COMMIT DROP AS SELECT {fields} FROM {price} LIMIT 0")
        do("CREATE TEMP TABLE {there} (id text) ON COMMIT DROP")
        read = {"member": self.erp.members, "rule": self.erp.rules, "article": self.erp.articles}[kind]
        copy("COPY {came} ({fields}) FROM STDIN", read(since))
        copy("COPY {there} FROM STDIN", ([(one,) for one in page] for page in self.erp.ids(kind)))
        do("ANALYZE {came} (id)")
        do("ANALYZE {there} (id)")
        missing: LiteralString = """
            SELECT FROM {there} t
            WHERE NOT EXISTS (SELECT FROM {price} k WHERE (k.pair, k.id) = (%(pair)s, t.id))
              AND NOT EXISTS (SELECT FROM {came} c WHERE c.id = t.id)
            LIMIT 1
            """
        if since is not None and do(missing).rowcount:
            do("TRUNCATE {came}")
            copy("COPY {came} ({fields}) FROM STDIN", read(None))
            do("ANALYZE {came} (id)")
        do(
            """
            WITH gone AS (
                DELETE FROM {price} k
                WHERE k.pair = %(pair)s AND NOT EXISTS (SELECT FROM {there} t WHERE t.id = k.id)
                RETURNING {ours}
            )
            INSERT INTO {moved} SELECT * FROM gone
            """
        )
        do(
            """
            WITH old AS (
                DELETE FROM {price} k
                USING {came} c
                WHERE (k.pair, k.id) = (%(pair)s, c.id) AND ({theirs}) IS DISTINCT FROM ({ours})
                RETURNING {ours}
            )
            INSERT INTO {moved} SELECT * FROM old
            """
        )
        do(
            """
            WITH new AS (
                INSERT INTO {price} AS k (pair, {fields})
                SELECT DISTINCT ON (c.id) %(pair)s, {theirs}
                FROM {came} c
                WHERE EXISTS (SELECT FROM {there} t WHERE t.id = c.id)
                  AND NOT EXISTS (SELECT FROM {price} o WHERE (o.pair, o.id) = (%(pair)s, c.id))
                RETURNING {ours}
            )
            INSERT INTO {moved} SELECT * FROM new
            """
        )

    def _keep_lists(self, now: datetime) -> tuple[list[str], list[str]]:
        """The lists of layers that somebody sees: codes of those that are new or hold at another time, and of those

        that are gone. What nobody sees is not computed.
        """
        self._do(
            """
            UPDATE price_member m
            SET changed_at = %(now)s
            FROM moved_member v
            WHERE (m.pair, m.id) = (%(pair)s, v.id)
            """,
            now=now,
        )
        dated = defaultdict(list)
        for layer, starts_at, ends_at in self._do(
            """
            SELECT DISTINCT layer, starts_at, ends_at
            FROM price_rule
            WHERE pair = %(pair)s AND (starts_at IS NOT NULL OR ends_at IS NOT NULL)
            """
        ):
            dated[layer].append((starts_at, ends_at))
        seen = self._do(
            """
            SELECT code
            FROM price_layer
            WHERE pair = %(pair)s
              AND (audience = 'everybody'
                   OR code IN (SELECT unnest(layers) FROM price_member WHERE pair = %(pair)s AND refused = ''))
            """
        )
        wanted = {span.code: span for (code,) in seen.fetchall() for span in spans(code, dated[code], now)}
        known = {
            row[0]: Span(*row)
            for row in self._do("SELECT code, layer, starts_at, ends_at FROM price_list WHERE pair = %(pair)s")
        }
        new = [code for code, span in wanted.items() if known.get(code) != span]
        removed = [code for code in known if code not in wanted]
        self._do("DELETE FROM price_list WHERE pair = %(pair)s AND code = ANY(%(codes)s)", codes=[*new, *removed])
        with self._db.cursor() as cursor:
            cursor.executemany(
                """
                INSERT INTO price_list (pair, code, layer, starts_at, ends_at, changed_at)
                VALUES (%s, %s, %s, %s, %s, %s)
                """,
                [(self._pair, *wanted[code], now) for code in new],
            )
        return new, removed

    def _touch(self, new: Sequence[str], removed: Sequence[str]) -> None:
        """What has to be computed again: by rules that were or are there, by articles, in lists that come or go."""
        self._do("CREATE TEMP TABLE touched ON COMMIT DROP AS SELECT list, sku FROM price_entry LIMIT 0")
        self._do("ALTER TABLE touched ADD PRIMARY KEY (list, sku)")
        self._do("ANALYZE moved_rule")
        self._do("ANALYZE moved_article")
        self._do(
            """
            INSERT INTO touched
            SELECT e.list, e.sku
            FROM moved_article m
            JOIN price_entry e ON (e.pair, e.sku) = (%(pair)s, m.sku)
            UNION
            SELECT list, sku FROM price_entry WHERE pair = %(pair)s AND list = ANY(%(removed)s)
            """,
            removed=list(removed),
        )
        insert: LiteralString = "INSERT INTO touched SELECT DISTINCT l.code, a.sku "
        for fits in _FITS:
            # with GIN's own operator: a few rules, many articles
            by_index = fits.replace("r.category = ANY(a.categories)", "a.categories @> ARRAY[r.category]")
            self._do(
                insert + "FROM moved_rule r " + _LISTS + " AND l.layer = r.layer JOIN price_article a "
                "ON a.pair = %(pair)s AND " + by_index + " ON CONFLICT DO NOTHING"
            )
            self._do(
                insert + "FROM moved_article m JOIN price_article a ON (a.pair, a.id) = (%(pair)s, m.id) "
                "JOIN " + _RULES + " ON r.pair = %(pair)s AND " + fits + " " + _LISTS + " AND l.layer = r.layer "
                "ON CONFLICT DO NOTHING"
            )
            if new:
                self._do(
                    insert
                    + "FROM price_list l JOIN "
                    + _RULES
                    + " ON "
                    + _OURS
                    + " AND "
                    + _ALIVE
                    + " JOIN price_article a ON a.pair = %(pair)s AND "
                    + fits
                    + " WHERE l.pair = %(pair)s AND l.code = ANY(%(new)s) ON CONFLICT DO NOTHING",
                    new=new,
                )
        self._do("ANALYZE touched")

    # ---- evaluate

    def _evaluate(self, now: datetime, partly: bool) -> int:
        """Compute everything, or what was touched; keep what differs. Returns how many entries do."""
        self._do("CREATE TEMP TABLE dated ON COMMIT DROP AS " + _dated(_TOUCHED if partly else _ALL))
        self._do("ANALYZE dated")
        self._do("CREATE TEMP TABLE fresh ON COMMIT DROP AS " + _fresh(partly))
        self._ask()
        self._do("ANALYZE fresh (list, sku)")
        kept: LiteralString = _TOUCHED_ENTRIES if partly else "price_entry"
        changed = self._do(_CHANGE[0] + kept + _CHANGE[1], now=now, moves=MOVES).rowcount
        return changed + self._do(_ADD, now=now).rowcount

    def _ask(self) -> None:
        """Have the ERP say the prices that our rules cannot."""
        rows = self._do(
            """
            SELECT f.list, f.sku, f.article, f.quantities, f.amounts, f.asked, l.layer, l.starts_at, l.ends_at,
                   l.code = l.layer AS always
            FROM fresh f
            JOIN price_list l ON (l.pair, l.code) = (%(pair)s, f.list)
            WHERE true = ANY(f.asked)
            ORDER BY f.list, f.sku
            """
        ).fetchall()
        if not rows:
            return
        moments = self._moments()
        for start in range(0, len(rows), _ASKED):
            some = rows[start : start + _ASKED]
            questions = {
                (code, sku, least): Question(
                    layer, article, least, moments[layer] if always else starts_at or ends_at - _DAY
                )
                for code, sku, article, quantities, _, asked, layer, starts_at, ends_at, always in some
                for least, one in zip(quantities, asked, strict=True)
                if one
            }
            log.info("prices (%s): %d prices are asked of %s", self._pair, len(questions), self.erp.name)
            answers = dict(zip(questions, self.erp.ask(list(questions.values())), strict=True))
            with self._db.cursor() as cursor:
                cursor.executemany(
                    "UPDATE fresh SET amounts = %s, refused = %s WHERE (list, sku) = (%s, %s)",
                    [
                        (*_answered([answers.get((code, sku, least), amount) for least, amount in tiers]), code, sku)
                        for code, sku, _, quantities, amounts, *_ in some
                        for tiers in (zip(quantities, amounts, strict=True),)
                    ],
                )

    def _moments(self) -> dict[str, datetime | None]:
        """When only a layer's undated rules hold: now, where it has no others; else before the first or after the

        last of them holds, whichever there is.
        """
        moments: dict[str, datetime | None] = defaultdict(lambda: None)
        for layer, first, last in self._do(
            """
            SELECT layer,
                   CASE WHEN bool_and(starts_at IS NOT NULL) THEN min(starts_at) END,
                   CASE WHEN bool_and(ends_at IS NOT NULL) THEN max(ends_at) END
            FROM price_rule
            WHERE pair = %(pair)s AND (starts_at IS NOT NULL OR ends_at IS NOT NULL)
            GROUP BY layer
            """
        ):
            moments[layer] = first - _DAY if first else last + _DAY if last else None
        return moments

    # ---- read

    def entries(self, since: datetime | None = None, keys: Iterable[str] | None = None) -> Iterator[Sequence[Entry]]:
        """What the lists say: all of it, what has changed since then, or of these ``list|SKU``."""
        pairs = [key.partition("|")[::2] for key in keys or ()]
        for page in self._pages(
            """
            SELECT e.list, e.sku, e.article, e.quantities, e.amounts, coalesce(y.currency, '') AS currency, e.asked,
                   e.doubt, e.refused
            FROM price_entry e
            LEFT JOIN price_list l ON (l.pair, l.code) = (e.pair, e.list)
            LEFT JOIN price_layer y ON (y.pair, y.code) = (e.pair, l.layer)
            WHERE e.pair = %(pair)s
              AND e.changed_at >= coalesce(%(since)s, e.changed_at)
              AND (%(some)s OR (e.list, e.sku) IN (SELECT * FROM unnest(%(lists)s::text[], %(skus)s::text[])))
            ORDER BY e.sku, e.list
            """,
            since=since,
            some=keys is None,
            lists=[one for one, _ in pairs],
            skus=[sku for _, sku in pairs],
        ):
            yield [Entry(*row) for row in page]

    def lists(self) -> list[Layered]:
        """Every list the shop is to have, without ``BASE``."""
        rows = self._do(
            """
            SELECT l.code, y.title, y.audience, 2 * y.rank + CASE WHEN l.code = l.layer THEN 0 ELSE 1 END,
                   l.starts_at, l.ends_at
            FROM price_list l
            JOIN price_layer y ON (y.pair, y.code) = (l.pair, l.layer)
            WHERE l.pair = %(pair)s AND l.code <> %(base)s
            ORDER BY l.code
            """,
            base=BASE,
        )
        return [Layered(*row) for row in rows]

    def members(self, since: datetime | None = None, accounts: Iterable[str] | None = None) -> list[Belongs]:
        """Accounts and their lists: all, those for whom something has changed since then, or these."""
        rows = self._do(
            """
            SELECT m.id, m.account,
                   ARRAY(SELECT l.code
                         FROM price_list l
                         WHERE l.pair = m.pair AND l.layer = ANY(m.layers)
                         ORDER BY l.code),
                   m.refused
            FROM price_member m
            WHERE m.pair = %(pair)s
              AND (%(since)s::timestamptz IS NULL
                   OR m.changed_at >= %(since)s
                   OR EXISTS (SELECT FROM price_list l
                              WHERE l.pair = m.pair AND l.layer = ANY(m.layers) AND l.changed_at >= %(since)s))
              AND (%(all)s OR m.account = ANY(%(accounts)s))
            ORDER BY m.account, m.id
            """,
            since=since,
            all=accounts is None,
            accounts=list(accounts or ()),
        )
        return [Belongs(*row) for row in rows]

    # ---- prove and explain

    def sample(self, airflow_run: str, most: int, more: int) -> list[Wanted]:
        """Questions for the proof: ``most`` at the borders of tiers that this run has told, ``more`` of any others.

        A list is asked for by one account that has it, and by a guest, who must not see it.
        """
        told = self._do(
            """
            WITH began AS (
                SELECT min(started_at) AS at FROM run WHERE (pair, airflow_run) = (%(pair)s, %(airflow_run)s)
            ),
            entry AS (
                SELECT split_part(l.key, '|', 1) AS list, substr(l.key, strpos(l.key, '|') + 1) AS sku,
                       l.synced_at >= (SELECT at FROM began) AS fresh
                FROM ledger l
                WHERE (l.pair, l.flow) = (%(pair)s, 'prices') AND l.target_id IS NOT NULL
            ),
            chosen AS (
                (SELECT * FROM entry WHERE fresh ORDER BY random() LIMIT %(most)s)
                UNION ALL
                (SELECT * FROM entry ORDER BY random() LIMIT %(more)s)
            ),
            visitor AS (
                SELECT DISTINCT ON (p.code) p.code, m.account
                FROM price_list p
                LEFT JOIN price_member m ON m.pair = p.pair AND p.layer = ANY(m.layers) AND m.refused = ''
                WHERE p.pair = %(pair)s
                ORDER BY p.code, random()
            )
            SELECT DISTINCT who.account, c.sku, greatest(least - step.back, 1)
            FROM chosen c
            JOIN visitor v ON v.code = c.list
            LEFT JOIN price_entry e ON (e.pair, e.list, e.sku) = (%(pair)s, c.list, c.sku)
            CROSS JOIN unnest(array_append(e.quantities, 1)) AS least
            CROSS JOIN (VALUES (0), (1)) AS step (back)
            CROSS JOIN LATERAL (VALUES (v.account), (NULL)) AS who (account)
            UNION
            SELECT m.account, e.sku, 1
            FROM (
                SELECT key
                FROM ledger
                WHERE (pair, flow) = (%(pair)s, 'price_members') AND synced_at >= (SELECT at FROM began)
                LIMIT %(most)s
            ) l
            JOIN price_member m ON (m.pair, m.account) = (%(pair)s, l.key)
            CROSS JOIN LATERAL (SELECT sku FROM price_entry WHERE pair = %(pair)s LIMIT 3) e
            """,
            airflow_run=airflow_run,
            most=most,
            more=more,
        )
        return [Wanted(*row) for row in told]

    def now(self) -> datetime:
        """The ERP's clock."""
        return self.erp.now()

    def in_step(self, wanted: Sequence[Wanted], since: datetime | None = None) -> list[Wanted]:
        """Those of which the shop has been told all that is known, and whose visitor's lists are unchanged ``since``:

        nothing that he sees of the SKU waits, is held, quarantined or pending, or was computed after it was told.
        """
        rows = self._do(
            """
            WITH aside AS (
                SELECT flow, key FROM parked WHERE pair = %(pair)s
                UNION ALL
                SELECT flow, key FROM held WHERE pair = %(pair)s
                UNION ALL
                SELECT flow, key FROM quarantine WHERE pair = %(pair)s AND resolved_at IS NULL
                UNION ALL
                SELECT flow, key FROM outbox WHERE (pair, status) = (%(pair)s, 'pending')
            )
            SELECT w.account, w.sku, w.quantity
            FROM unnest(%(accounts)s::text[], %(skus)s::text[], %(quantities)s::int[]) AS w (account, sku, quantity)
            LEFT JOIN price_member m ON (m.pair, m.account) = (%(pair)s, w.account)
            WHERE NOT EXISTS (SELECT FROM aside a WHERE (a.flow, a.key) = ('price_members', w.account))
              AND (m.changed_at >= %(since)s) IS NOT TRUE
              AND NOT EXISTS (
                  SELECT FROM price_list p
                  JOIN price_layer y ON (y.pair, y.code) = (p.pair, p.layer)
                  LEFT JOIN price_entry e ON (e.pair, e.list, e.sku) = (p.pair, p.code, w.sku)
                  LEFT JOIN ledger l ON (l.pair, l.flow, l.key) = (p.pair, 'prices', p.code || '|' || w.sku)
                  WHERE p.pair = %(pair)s
                    AND (y.audience = 'everybody' OR p.layer = ANY(m.layers))
                    AND (p.changed_at >= %(since)s
                         OR EXISTS (SELECT FROM aside a WHERE (a.flow, a.key) = ('price_lists', p.code))
                         OR EXISTS (SELECT FROM aside a WHERE (a.flow, a.key) = ('prices', p.code || '|' || w.sku))
                         OR (e.evaluated_at > coalesce(l.synced_at, '-infinity')
                             AND (e.quantities, e.amounts) IS DISTINCT FROM (e.told_quantities, e.told_amounts)
                             AND (e.quantities <> '{}' OR l.key IS NOT NULL)))
              )
            """,
            since=since,
            accounts=[one.account for one in wanted],
            skus=[one.sku for one in wanted],
            quantities=[one.quantity for one in wanted],
        )
        return [Wanted(*row) for row in rows]

    def explain(self, account: str | None, sku: str, quantity: int, at: datetime) -> list[Step]:
        """The rules that fit a SKU for a visitor, best first: which says the price, and why the others do not."""
        rows = self._do(
            """
            SELECT y.code, r.words, r.min_quantity, r.starts_at, r.ends_at,
                   r.asked OR a.asked OR (r.gross AND a.tax_rate IS NULL) AS asked,
                   trim_scale(price_round(
                       CASE WHEN r.gross THEN price_round(computed) / (1 + a.tax_rate) ELSE computed END
                   )) AS amount
            FROM price_layer y
            JOIN price_rule r ON (r.pair, r.layer) = (y.pair, y.code)
            JOIN price_article a
              ON (a.pair, a.sku) = (y.pair, %(sku)s)
             AND (r.article IS NULL OR r.article = a.id)
             AND (r.category IS NULL OR r.category = ANY(a.categories))
            CROSS JOIN LATERAL (
                SELECT CASE WHEN r.list_factor = 0 THEN 0 ELSE r.list_factor * a.list_price END
                       + CASE WHEN r.cost_factor = 0 THEN 0 ELSE r.cost_factor * coalesce(a.cost_price, 0) END
                       + r.constant AS computed
            ) c
            WHERE y.pair = %(pair)s
              AND (y.audience = 'everybody'
                   OR EXISTS (SELECT FROM price_member m
                              WHERE (m.pair, m.account) = (y.pair, %(account)s) AND y.code = ANY(m.layers)))
            ORDER BY y.rank DESC, y.code, r.place, r.min_quantity DESC, r.id
            """,
            account=account,
            sku=sku,
        ).fetchall()
        steps, won = [], ""
        for code, words, least, starts_at, ends_at, asked, amount in rows:
            if least > quantity:
                why = f"only from {least} pieces on"
            elif starts_at and starts_at > at:
                why = f"only from {starts_at:%Y-%m-%d %H:%M} UTC on"
            elif ends_at and ends_at <= at:
                why = f"over since {ends_at:%Y-%m-%d %H:%M} UTC"
            elif won:
                why = "a line before it fits" if won == code else f"{won} comes first"
            else:
                why = f"asked of {self.erp.name}" if asked else "" if amount is not None else "it comes to no price"
            wins = not won and (why == "" or why.startswith("asked"))
            won = code if wins else won
            steps.append(Step(code, words, least, None if asked else amount, wins, why))
        return steps


def _answered(amounts: Sequence[Decimal | Reject | None]) -> tuple[list[Decimal | None], str]:
    """The amounts, and why one of them cannot be said."""
    refused = next((str(one) for one in amounts if isinstance(one, Reject)), "")
    return [None if isinstance(one, Reject) else one for one in amounts], refused
