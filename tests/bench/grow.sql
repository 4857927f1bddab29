-- :variants variants more for a Tryton that holds the demo's merchant, by SQL because its own interface would take hours.
-- Of 20 variants 16 are the only one of their template, the others stand in pairs, told apart by their size.
-- Ids from 1,000,001 on; code, name, two categories, EAN with check digit, weight, description as a merchant has them.
BEGIN;
CREATE TEMP TABLE new AS
SELECT 1000000 + g AS id, 'BIG' || lpad(g::text, 7, '0') AS code, g, (g % 9 = 0) AS pair
FROM generate_series(1, :variants * 9 / 10) g;

INSERT INTO product_template (
    id, active, code, consumable, create_date, create_uid, default_uom, sale_uom, name, type, account_category,
    weight, weight_uom, salable, attribute_set, web_shop_description
)
SELECT n.id, true, n.code, false, timestamp '2026-01-01', 1, u.id, u.id, 'Bulk article ' || g, 'goods', t.account_category,
       0.01 + g % 900 / 100.0, w.id, true, t.attribute_set,
       '<p>Bulk article ' || g || ' of galvanised steel, for the workshop. ' || repeat('Made for daily use. ', 6) || '</p>'
FROM new n, product_uom u, product_uom w, product_template t
WHERE u.symbol = 'u' AND w.symbol = 'kg' AND t.code = 'WJ001';

INSERT INTO product_product (
    id, active, code, suffix_code, create_date, create_uid, position, template, attributes
)
SELECT id + 1000000 * v, true, code || CASE WHEN pair THEN '-' || size END, CASE WHEN pair THEN '-' || size END,
       timestamp '2026-01-01', 1, v, id, jsonb_build_object('material', 'steel', 'size', lower(size))::json
FROM new, (VALUES (0, 'S'), (1, 'M')) AS s (v, size)
WHERE pair OR v = 0;
UPDATE product_product p SET code = n.code FROM new n WHERE p.template = n.id AND NOT n.pair;

INSERT INTO product_identifier (code, create_date, create_uid, product, type)
SELECT digits || (10 - total % 10) % 10, timestamp '2026-01-01', 1, p.id, 'ean'
FROM product_product p,
     LATERAL (SELECT '40' || lpad(p.id::text, 10, '0') AS digits) d,
     LATERAL (
         SELECT sum(substr(digits, i, 1)::int * CASE WHEN i % 2 = 0 THEN 3 ELSE 1 END) AS total
         FROM generate_series(1, 12) i
     ) s
WHERE p.id > 1000000;

INSERT INTO "product_template-product_category" (category, create_date, create_uid, template)
SELECT c.id, timestamp '2026-01-01', 1, n.id
FROM new n
JOIN product_category c ON c.name IN ('Hand tools', CASE WHEN n.g % 2 = 0 THEN 'Hoses' ELSE 'Cables' END);
COMMIT;
ANALYZE;
