-- Prices: the rules of the ERP, and what they come to in each list.

CREATE TABLE ledger_price_lists PARTITION OF ledger FOR VALUES IN ('price_lists') WITH (fillfactor = 85);
CREATE TABLE ledger_prices PARTITION OF ledger FOR VALUES IN ('prices') WITH (fillfactor = 85);
CREATE TABLE ledger_price_members PARTITION OF ledger FOR VALUES IN ('price_members') WITH (fillfactor = 85);

-- how far the rules have been read, by the ERP's clock
CREATE TABLE price_state (
    pair         text PRIMARY KEY,
    basis        text NOT NULL,
    until        timestamptz NOT NULL
);

CREATE TABLE price_layer (
    pair         text NOT NULL,
    code         text NOT NULL,
    title        text NOT NULL,
    audience     text NOT NULL CHECK (audience IN ('everybody', 'accounts')),
    rank         int NOT NULL,
    currency     text NOT NULL,
    PRIMARY KEY (pair, code)
);

CREATE TABLE price_rule (
    pair         text NOT NULL,
    id           text NOT NULL,
    layer        text NOT NULL,
    -- of the rules that fit the lowest wins
    place        bigint NOT NULL,
    article      text,
    category     text,
    min_quantity int NOT NULL,
    starts_at    timestamptz,
    ends_at      timestamptz,
    list_factor  numeric NOT NULL,
    cost_factor  numeric NOT NULL,
    constant     numeric NOT NULL,
    -- the ERP has to be asked for the price
    asked        bool NOT NULL,
    -- the price contains the article's taxes
    gross        bool NOT NULL,
    words        text NOT NULL,
    PRIMARY KEY (pair, id)
);
CREATE INDEX ON price_rule (pair, article, layer) WHERE article IS NOT NULL;
CREATE INDEX ON price_rule (pair, category, layer) WHERE article IS NULL;
CREATE INDEX ON price_rule (pair, layer) WHERE article IS NULL;
CREATE INDEX ON price_rule (pair, layer) WHERE starts_at IS NOT NULL OR ends_at IS NOT NULL;

CREATE TABLE price_article (
    pair         text NOT NULL,
    id           text NOT NULL,
    sku          text NOT NULL,
    categories   text[] NOT NULL,
    list_price   numeric,
    cost_price   numeric,
    tax_rate     numeric,
    asked        bool NOT NULL,
    PRIMARY KEY (pair, id)
);
CREATE INDEX ON price_article (pair, sku);
CREATE INDEX ON price_article USING gin (categories);

CREATE TABLE price_member (
    pair         text NOT NULL,
    id           text NOT NULL,
    account      text NOT NULL,
    layers       text[] NOT NULL,
    refused      text NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, id)
);
CREATE INDEX ON price_member (pair, account);
CREATE INDEX ON price_member USING gin (layers);

-- the layers that somebody sees, each in the spans of time in which something else holds; without ends: what always holds
CREATE TABLE price_list (
    pair         text NOT NULL,
    code         text NOT NULL,
    layer        text NOT NULL,
    starts_at    timestamptz,
    ends_at      timestamptz,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (pair, code)
);
CREATE INDEX ON price_list (pair, layer);

-- what a list says of an article: from quantities[i] on amounts[i], NULL nothing; both empty: nothing any more
CREATE TABLE price_entry (
    pair            text NOT NULL,
    list            text NOT NULL,
    sku             text NOT NULL,
    article         text NOT NULL,
    quantities      int[] NOT NULL,
    amounts         numeric[] NOT NULL,
    -- of the amounts, so many were asked of the ERP
    asked           int NOT NULL,
    -- why a person has to approve it first, why it cannot be told at all
    doubt           text NOT NULL,
    refused         text NOT NULL,
    -- what the shop was told last, other than this
    told_quantities int[],
    told_amounts    numeric[],
    evaluated_at    timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    PRIMARY KEY (pair, sku, list)
) WITH (fillfactor = 85);
CREATE INDEX ON price_entry (pair, changed_at);

-- to four digits, a half to the even one, as Python's Decimal does it
CREATE FUNCTION price_round(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN scale(amount) <= 4 THEN amount
                WHEN amount * 10000 - trunc(amount * 10000) IN (0.5, -0.5)
                THEN round(2 * round(amount * 5000) / 10000, 4)
                ELSE round(amount, 4)
           END
$$;

-- the amount that holds for so many pieces; NULL: none
CREATE FUNCTION price_at(quantities int[], amounts numeric[], quantity int) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT t.amount
    FROM unnest(quantities, amounts) AS t (least, amount)
    WHERE t.least <= quantity
    ORDER BY t.least DESC
    LIMIT 1
$$;

-- by what share of the old price the price moves, at the quantity where it moves most; NULL: there is nothing to compare
CREATE FUNCTION price_move(quantities int[], amounts numeric[], old_quantities int[], old_amounts numeric[])
RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT max(abs(crossdock.price_at(quantities, amounts, q) - old.amount) / nullif(old.amount, 0))
    FROM unnest(quantities || old_quantities) AS q,
         LATERAL (SELECT crossdock.price_at(old_quantities, old_amounts, q) AS amount) old
$$;
