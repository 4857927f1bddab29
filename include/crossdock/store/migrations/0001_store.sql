-- The store: what was read, what belongs together, what is to be written, what waits and why.
-- Every table carries the pair (one ERP and one shop) and the flow (customers, items, ...).

CREATE TABLE run (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair         text NOT NULL,
    flow         text NOT NULL,
    scope        text NOT NULL DEFAULT '*',
    airflow_run  text NOT NULL,
    mode         text NOT NULL CHECK (mode IN ('apply', 'plan')),
    window_from  timestamptz,
    window_to    timestamptz,
    -- the last step that was completed
    step         text NOT NULL DEFAULT 'opened' CHECK (step IN ('opened', 'extracted', 'validated', 'transformed', 'loaded', 'settled')),
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'success', 'planned', 'drained', 'failed')),
    message      text,
    counts       jsonb NOT NULL DEFAULT '{}',
    totals       jsonb NOT NULL DEFAULT '{}',
    quality      jsonb,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    UNIQUE (pair, flow, scope, airflow_run)
);
CREATE INDEX ON run (pair, flow, id DESC);

-- one writer per flow: taken by extract, renewed by each step, given back by settle
CREATE TABLE lease (
    pair         text NOT NULL,
    flow         text NOT NULL,
    scope        text NOT NULL,
    run_id       bigint NOT NULL REFERENCES run,
    expires_at   timestamptz NOT NULL,
    -- another run came meanwhile: settle asks for one more
    hint         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (pair, flow, scope)
);

CREATE TABLE watermark (
    pair         text NOT NULL,
    flow         text NOT NULL,
    until        timestamptz NOT NULL,
    PRIMARY KEY (pair, flow)
);

-- what belongs together, and what the target was last told
CREATE TABLE ledger (
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    source_id    text NOT NULL,
    target_id    text,
    raw_hash     uuid,
    canon_hash   uuid,
    -- the source's ids of everything the record was put together from
    parts        text[] NOT NULL DEFAULT '{}',
    -- withdrawn from the target
    removed      boolean NOT NULL DEFAULT false,
    -- as last written it was a loss already: the brake counts it no more
    lost         boolean NOT NULL DEFAULT false,
    run_id       bigint NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, flow, key)
) PARTITION BY LIST (flow);
CREATE TABLE ledger_customers PARTITION OF ledger FOR VALUES IN ('customers') WITH (fillfactor = 85);
CREATE TABLE ledger_other PARTITION OF ledger DEFAULT WITH (fillfactor = 85);

-- the truth of a load: a killed task goes on from here
CREATE TABLE outbox (
    run_id       bigint NOT NULL REFERENCES run,
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    op           text NOT NULL CHECK (op IN ('create', 'update', 'remove')),
    source_id    text NOT NULL,
    target_id    text,
    raw_hash     uuid,
    canon_hash   uuid NOT NULL,
    parts        text[] NOT NULL DEFAULT '{}',
    -- it takes something away from a shopper
    lost         boolean NOT NULL DEFAULT false,
    payload      text NOT NULL,
    status       text NOT NULL CHECK (status IN ('planned', 'pending', 'done', 'refused', 'superseded', 'merged')),
    note         text,
    sent_at      timestamptz,
    done_at      timestamptz,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX ON outbox (pair, flow, run_id) WHERE status IN ('pending', 'done');

CREATE TABLE quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    source_id    text NOT NULL,
    run_id       bigint NOT NULL,
    stage        text NOT NULL CHECK (stage IN ('extract', 'validate', 'transform', 'load')),
    code         text NOT NULL,
    reason       text NOT NULL,
    remedy       text NOT NULL,
    payload      text NOT NULL,
    raw_hash     uuid,
    attempts     int NOT NULL DEFAULT 1,
    -- an operator asked for another try
    replay       boolean NOT NULL DEFAULT false,
    owner        text,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    last_seen    timestamptz NOT NULL DEFAULT now(),
    resolved_at  timestamptz,
    resolution   text
);
CREATE UNIQUE INDEX ON quarantine (pair, flow, key) WHERE resolved_at IS NULL;

-- came too early: needs a record of another flow
CREATE TABLE parked (
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    needs        text[] NOT NULL,
    run_id       bigint NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, flow, key)
);

-- set aside by the brake until a person decides
CREATE TABLE held (
    pair         text NOT NULL,
    flow         text NOT NULL,
    key          text NOT NULL,
    reason       text NOT NULL,
    run_id       bigint NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, flow, key)
);

-- write approval: off for a system whose fingerprint is not the approved one; also the stop button
CREATE TABLE target (
    pair          text NOT NULL,
    side          text NOT NULL CHECK (side IN ('erp', 'storefront')),
    fingerprint   text NOT NULL,
    write_enabled boolean NOT NULL,
    changed_by    text NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, side)
);

-- logins that say they belong to an account which the ERP has not said: for a person to judge
CREATE TABLE review (
    pair         text NOT NULL,
    login        text NOT NULL,
    email        text NOT NULL,
    evidence     text NOT NULL,
    value        text NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    last_seen    timestamptz NOT NULL DEFAULT now(),
    resolved_at  timestamptz,
    PRIMARY KEY (pair, login, evidence)
);
