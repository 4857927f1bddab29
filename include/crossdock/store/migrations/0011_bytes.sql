-- Texts of prices are compared byte by byte: their order means nothing, and with the database's own, C.UTF-8, evaluating
-- 800,000 rules took 19.3 CPU s instead of 13.7.

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT table_name AS name,
               string_agg(format('ALTER %I TYPE %s COLLATE "C"', column_name,
                                 CASE udt_name WHEN '_text' THEN 'text[]' ELSE 'text' END), ', ') AS changes
        FROM information_schema.columns
        WHERE table_schema = 'crossdock' AND starts_with(table_name, 'price_') AND udt_name IN ('text', '_text')
        GROUP BY table_name
    LOOP
        EXECUTE format('ALTER TABLE %I %s', one.name, one.changes);
    END LOOP;
END
$$;
