-- Texts of prices are compared byte by byte: their order means nothing, and a language's costs half the evaluation.

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
