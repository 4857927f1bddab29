-- Orders, and what has become of them.

CREATE TABLE ledger_orders PARTITION OF ledger FOR VALUES IN ('orders') WITH (fillfactor = 85);
CREATE TABLE ledger_order_status PARTITION OF ledger FOR VALUES IN ('order_status') WITH (fillfactor = 85);

-- what the source calls it: an order waits under its number, too
ALTER TABLE parked ADD COLUMN source_id text;
