-- Items: a record may be several things in the target; parts are compared by the hour; what people decide about
-- quarantined records.

CREATE TABLE ledger_items PARTITION OF ledger FOR VALUES IN ('items') WITH (fillfactor = 85);

-- the source does not have it any more (its raw_hash is then that of nothing)
ALTER TABLE ledger ADD COLUMN vanished boolean NOT NULL DEFAULT false;
UPDATE ledger SET vanished = true WHERE raw_hash = '00000000-0000-0000-0000-000000000000';
CREATE INDEX ON ledger (pair, flow) WHERE vanished;

-- what else a record is in the target, besides itself: the variants of an item, by SKU
CREATE TABLE link (
    pair         text NOT NULL,
    kind         text NOT NULL,
    key          text NOT NULL,
    flow         text NOT NULL,
    owner        text NOT NULL,
    target_id    text NOT NULL,
    PRIMARY KEY (pair, kind, key)
);
CREATE INDEX ON link (pair, flow, owner);
ALTER TABLE outbox ADD COLUMN links jsonb;

-- when the source's parts were last compared
ALTER TABLE watermark ADD COLUMN parts_at timestamptz;

-- what the payload is: the source's row, the canonical record, what the target was told, or the beginning of one of them
ALTER TABLE quarantine ADD COLUMN form text NOT NULL DEFAULT 'row' CHECK (form IN ('row', 'record', 'told', 'cut'));

-- a person's version of a quarantined record; it ends when the source's own changes
CREATE TABLE override (
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    form         text NOT NULL CHECK (form IN ('row', 'record')),
    payload      text NOT NULL,
    raw_hash     uuid NOT NULL,
    author       text NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, flow, key)
);

-- a failure of a whole batch that a person lets pass once: its rows go to quarantine instead
CREATE TABLE acceptance (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair         text NOT NULL,
    flow         text NOT NULL,
    says         text NOT NULL,
    author       text NOT NULL,
    reason       text NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    run_id       bigint
);
