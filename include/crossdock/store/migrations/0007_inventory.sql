-- Stock: the shop moves it too, so that everything is compared by the hour.

CREATE TABLE ledger_inventory PARTITION OF ledger FOR VALUES IN ('inventory') WITH (fillfactor = 85);

-- when everything was last read, and in which version
ALTER TABLE watermark ADD COLUMN full_at timestamptz;
ALTER TABLE watermark ADD COLUMN full_version text;
