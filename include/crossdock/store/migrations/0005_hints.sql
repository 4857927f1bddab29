-- Hints that a shop has sent: each counts once, and they do not come faster than they are of use.

CREATE TABLE hint (
    signature bytea PRIMARY KEY,
    sent_at   timestamptz NOT NULL
);

CREATE TABLE hinted (
    pair text NOT NULL,
    flow text NOT NULL,
    at   timestamptz NOT NULL,
    PRIMARY KEY (pair, flow)
);
