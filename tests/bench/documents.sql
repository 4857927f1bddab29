-- :invoices invoices dated from ':since' to before ':until', and a credit note for every thirtieth of them, for a
-- Tryton that holds the demo's merchant; by SQL because its own interface would take hours. The merchant's own parties
-- leave the customers' category: 500 others are in it, and all documents are theirs.
-- An invoice has three lines (two at 19 %, one at 7 %), taxes, a posted move, and is due in 30 days. Of ten, eight are
-- paid (a payment's move, reconciled), one is paid by half (not reconciled), one is open. Credit notes have the lines
-- of their invoice, with these as origin: one half are reconciled with an open invoice, the others not given back yet.
-- Nothing was sold before: there are no sales behind them, and no tax lines, which no document is read from.
-- Ids: invoices and their moves from 1,000,001 on, credit notes from 2,000,001, payments' moves from 3,000,001.
BEGIN;

INSERT INTO ir_sequence_strict (
    active, company, create_date, create_uid, name, number_increment, number_next_internal, padding,
    sequence_type, last_timestamp, timestamp_offset, timestamp_rounding, type
)
SELECT true, s.company, now(), 1, y || ' moves', s.number_increment, 1, s.padding, s.sequence_type,
       0, s.timestamp_offset, s.timestamp_rounding, s.type
FROM generate_series(extract(year FROM date ':since')::int, extract(year FROM date ':until')::int) y,
     (SELECT s.* FROM ir_sequence_strict s JOIN account_fiscalyear f ON f.move_sequence = s.id LIMIT 1) s
WHERE NOT EXISTS (SELECT FROM account_fiscalyear WHERE start_date = make_date(y, 1, 1));

INSERT INTO account_fiscalyear (company, create_date, create_uid, start_date, end_date, move_sequence, name, state)
SELECT s.company, now(), 1, make_date(y, 1, 1), make_date(y, 12, 31), s.id, y::text, 'open'
FROM generate_series(extract(year FROM date ':since')::int, extract(year FROM date ':until')::int) y
JOIN ir_sequence_strict s ON s.name = y || ' moves'
WHERE NOT EXISTS (SELECT FROM account_fiscalyear WHERE start_date = make_date(y, 1, 1));

INSERT INTO account_period (create_date, create_uid, start_date, end_date, fiscalyear, name, state, type)
SELECT now(), 1, m::date, (m + interval '1 month')::date - 1, f.id, to_char(m, 'YYYY-MM'), 'open', 'standard'
FROM account_fiscalyear f, generate_series(f.start_date::timestamp, f.end_date, interval '1 month') m
WHERE NOT EXISTS (SELECT FROM account_period WHERE fiscalyear = f.id);

-- who buys
DELETE FROM "party_party-party_category"
WHERE category = (SELECT id FROM party_category WHERE name = 'Customers');

INSERT INTO party_party (id, active, code, code_alnum, code_digit, create_date, create_uid, name)
SELECT 1000000 + g, true, 'B' || lpad(g::text, 5, '0'), 'B' || lpad(g::text, 5, '0'), g, timestamp '2023-01-01', 1,
       'Bulk customer ' || g
FROM generate_series(1, 500) g;

INSERT INTO party_address (
    id, active, city, country, create_date, create_uid, party, postal_code, sequence, street_unstructured, delivery,
    invoice
)
SELECT p.id, true, 'Hamburg', c.id, p.create_date, 1, p.id, '20457', 1, 'Bulk street ' || p.code_digit, true, true
FROM party_party p, country_country c
WHERE p.id > 1000000 AND c.code = 'DE';

INSERT INTO "party_party-party_category" (create_date, create_uid, party, category)
SELECT p.create_date, 1, p.id, c.id
FROM party_party p, party_category c
WHERE p.id > 1000000 AND c.name = 'Customers';

-- what is to be written; as the merchant's own documents have it: accounts, journals, company, currency, unit, terms
CREATE TEMP TABLE document AS
SELECT 1000000 + g AS id, NULL::integer AS credits, 1 AS sign, 'BI-' || lpad(g::text, 6, '0') AS number,
       date ':since' + (g - 1) * (date ':until' - date ':since') / :invoices AS day,
       1000001 + g * 7919 % 500 AS party,
       CASE g % 10 WHEN 8 THEN 'by half' WHEN 9 THEN 'no' ELSE 'by payment' END AS settled,
       0::numeric AS net, 0::numeric AS tax
FROM generate_series(1, :invoices) g;

INSERT INTO document
SELECT 2000000 + c, i.id, -1, 'BC-' || lpad(c::text, 6, '0'), least(i.day + 10, date ':until' - 1), i.party,
       CASE c % 2 WHEN 1 THEN 'by credit' ELSE 'no' END, 0, 0
FROM generate_series(1, :invoices / 30) c JOIN document i ON i.id = 1000000 + 30 * c - c % 2;
UPDATE document i SET settled = 'by credit' FROM document c WHERE c.credits = i.id AND c.settled = 'by credit';

CREATE TEMP TABLE goods AS
SELECT p.id, tax.tax, t.default_uom AS unit, c.name = 'Reduced rated' AS reduced,
       row_number() OVER (PARTITION BY c.id ORDER BY p.id) - 1 AS place, count(*) OVER (PARTITION BY c.id) AS many
FROM product_product p
JOIN product_template t ON t.id = p.template
JOIN product_category c ON c.id = t.account_category
JOIN "product_category-customer-account_tax" tax ON tax.category = c.id
WHERE p.active AND t.active AND t.type = 'goods' AND c.name IN ('Standard rated', 'Reduced rated');

CREATE TEMP TABLE line AS
SELECT 1000000 + 3 * (d.id - 1000000) + k AS id, NULL::integer AS of_line, d.id AS document, k, g.id AS product, g.unit,
       g.tax, (1 + (d.id + 7 * k) % 24)::float AS quantity,
       round((100 + (d.id * 31 + k * 1717) % 9000) / 100.0, 4) AS price
FROM document d
CROSS JOIN generate_series(0, 2) k
JOIN goods g ON g.reduced = (k = 2) AND g.place = (d.id + k * 11) % g.many
WHERE d.credits IS NULL;

INSERT INTO line
SELECT l.id + 1000000, l.id, d.id, l.k, l.product, l.unit, l.tax, -l.quantity, l.price
FROM document d JOIN line l ON l.document = d.credits;

CREATE TEMP TABLE taxed AS
SELECT l.document, l.tax, sum(round(l.quantity::numeric * l.price, 2)) AS base,
       round(sum(round(l.quantity::numeric * l.price, 2)) * t.rate, 2) AS amount
FROM line l JOIN account_tax t ON t.id = l.tax
GROUP BY l.document, l.tax, t.rate;
UPDATE document d SET net = t.net, tax = t.tax
FROM (SELECT document, sum(base) AS net, sum(amount) AS tax FROM taxed GROUP BY document) t WHERE t.document = d.id;

CREATE TEMP TABLE like_this AS
SELECT i.account AS receivable, i.company, i.currency, i.journal, i.payment_term, i.tax_identifier,
       (SELECT account FROM account_invoice_line WHERE invoice_type = 'out' AND account IS NOT NULL LIMIT 1) AS revenue,
       (SELECT account FROM account_invoice_tax LIMIT 1) AS taxes, m.credit_account AS cash, m.journal AS cash_journal
FROM account_invoice i, account_invoice_payment_method m
WHERE i.type = 'out' AND i.state = 'paid' AND m.name = 'Bank transfer'
LIMIT 1;

-- the books
INSERT INTO account_move (id, company, create_date, create_uid, date, journal, number, origin, period, post_date, state)
SELECT m.id, l.company, m.day + time '12:00', 1, m.day, m.journal, 'B' || m.id, 'account.invoice,' || m.invoice, p.id,
       m.day, 'posted'
FROM like_this l
CROSS JOIN LATERAL (
    SELECT id, id AS invoice, day, l.journal FROM document
    UNION ALL
    SELECT id + 2000000, id, least(day + 20, current_date), l.cash_journal FROM document
    WHERE settled IN ('by payment', 'by half')
) m
JOIN account_period p ON m.day BETWEEN p.start_date AND p.end_date AND p.type = 'standard';

INSERT INTO account_move_reconciliation (id, company, create_date, create_uid, date, number)
SELECT d.id, l.company, d.day + time '12:00', 1, d.day, 'B' || d.id
FROM document d, like_this l WHERE d.settled IN ('by payment', 'by credit') AND d.credits IS NULL;

INSERT INTO account_move_line (
    id, account, create_date, create_uid, debit, credit, maturity_date, move, party, reconciliation, state,
    payment_blocked, payment_direct_debit
)
SELECT d.id, l.receivable, d.day + time '12:00', 1, greatest(net + tax, 0), greatest(-net - tax, 0), d.day + 30, d.id,
       d.party, CASE WHEN settled IN ('by payment', 'by credit') THEN coalesce(d.credits, d.id) END, 'valid', false,
       false
FROM document d, like_this l
UNION ALL
SELECT d.id + 2000000, l.receivable, m.create_date, 1, 0, CASE settled WHEN 'by half' THEN round((net + tax) / 2, 2)
       ELSE net + tax END, NULL, m.id, d.party, CASE settled WHEN 'by payment' THEN d.id END, 'valid', false, false
FROM document d JOIN account_move m ON m.id = d.id + 2000000, like_this l;

INSERT INTO account_move_line (
    account, create_date, create_uid, debit, credit, move, state, payment_blocked, payment_direct_debit
)
SELECT l.revenue, d.day + time '12:00', 1, greatest(-amount, 0), greatest(amount, 0), d.id, 'valid', false, false
FROM document d, like_this l,
     LATERAL (SELECT round(quantity::numeric * price, 2) AS amount FROM line WHERE document = d.id) sums
UNION ALL
SELECT l.taxes, d.day + time '12:00', 1, greatest(-t.amount, 0), greatest(t.amount, 0), d.id, 'valid', false, false
FROM document d JOIN taxed t ON t.document = d.id, like_this l
UNION ALL
SELECT l.cash, p.create_date, 1, p.credit, 0, p.move, 'valid', false, false
FROM account_move_line p, like_this l WHERE p.id > 3000000;

-- the documents
INSERT INTO account_invoice (
    id, account, company, create_date, create_uid, currency, invoice_address, invoice_date, journal, move, number,
    party, payment_direct_debit, payment_term, reference, sequence_type_cache, state, tax_amount_cache, tax_identifier,
    total_amount_cache, type, untaxed_amount_cache
)
SELECT d.id, l.receivable, l.company, d.day + time '12:00', 1, l.currency, d.party, d.day, l.journal, d.id, d.number,
       d.party, false, l.payment_term, 'PO-' || d.id % 100000,
       CASE WHEN d.credits IS NULL THEN 'invoice' ELSE 'credit_note' END,
       CASE WHEN settled IN ('by payment', 'by credit') THEN 'paid' ELSE 'posted' END, d.tax, l.tax_identifier,
       d.net + d.tax, 'out', d.net
FROM document d, like_this l;

INSERT INTO account_invoice_line (
    id, account, company, correction, create_date, create_uid, currency, invoice, invoice_type, origin, product,
    quantity, sequence, taxes_deductible_rate, type, unit, unit_price
)
SELECT i.id, l.revenue, l.company, false, d.day + time '12:00', 1, l.currency, d.id, 'out',
       'account.invoice.line,' || i.of_line, i.product, i.quantity, i.k, 1, 'line', i.unit, i.price
FROM line i JOIN document d ON d.id = i.document, like_this l;

INSERT INTO "account_invoice_line-account_tax" (create_date, create_uid, line, tax)
SELECT now(), 1, id, tax FROM line;

INSERT INTO account_invoice_tax (
    account, amount, base, create_date, create_uid, description, invoice, manual, sequence, tax
)
SELECT l.taxes, t.amount, t.base, d.day + time '12:00', 1, a.description, d.id, false, 1, t.tax
FROM taxed t JOIN document d ON d.id = t.document JOIN account_tax a ON a.id = t.tax, like_this l;

INSERT INTO "account_invoice-account_move_line" (create_date, create_uid, invoice, line)
SELECT p.create_date, 1, p.id - 2000000, p.id FROM account_move_line p WHERE p.id > 3000000;

SELECT setval(pg_get_serial_sequence(t, 'id'), 9000000)
FROM unnest(ARRAY['party_party', 'party_address', 'account_move', 'account_move_line', 'account_move_reconciliation',
                  'account_invoice', 'account_invoice_line']) t;
COMMIT;
ANALYZE;
