-- What warehouses of third parties say they have sent.

CREATE TABLE ledger_shipping_advice PARTITION OF ledger FOR VALUES IN ('shipping_advice') WITH (fillfactor = 85);
