-- Documents: several runs of one flow side by side, each with its own window of dates as its scope.

CREATE TABLE ledger_offline_orders PARTITION OF ledger FOR VALUES IN ('offline_orders') WITH (fillfactor = 85);
CREATE TABLE ledger_invoices PARTITION OF ledger FOR VALUES IN ('invoices') WITH (fillfactor = 85);

-- the state of the source that a record was read from: an older one never displaces a newer one
ALTER TABLE ledger ADD COLUMN moment timestamptz;
ALTER TABLE outbox ADD COLUMN moment timestamptz;

-- what another run parks while one is at work is not for that one to forget
ALTER TABLE parked ADD COLUMN last_seen timestamptz NOT NULL DEFAULT now();

-- a batch is let pass in the window in which it was stopped
ALTER TABLE acceptance ADD COLUMN scope text NOT NULL DEFAULT '*';
DROP INDEX acceptance_pair_flow_says_idx;
CREATE UNIQUE INDEX ON acceptance (pair, flow, scope, says) WHERE run_id IS NULL;

-- whether the run at work does all that one which comes meanwhile would do
ALTER TABLE lease ADD COLUMN whole boolean NOT NULL DEFAULT true;
