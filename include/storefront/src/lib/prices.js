const { generateEntityId, MedusaError } = require("@medusajs/framework/utils")
const { refusal } = require("./batch")
const { listsOf, lock } = require("./price-lists")
const { readPrices } = require("./price-schema")

const BASE = "base"

/**
 * Write a batch of prices: for each record all that one list says of one SKU, in one transaction.
 *
 * Medusa's price rows have no natural key, and creating the same twice makes two: here a row is found by variant, list,
 * currency and first quantity, under a lock; it is changed, and only what is not named any more is deleted (softly:
 * Medusa's own deletion takes a quarter of an hour for a list of 10,000). Sent again, nothing is written.
 *
 * @param db the shop's knex connection
 * @param {unknown[]} batch records as lib/price-schema.js describes them
 * @returns {Promise<{outcomes: object[], rows: number}>} for each, in any order: {key, id, reason?}, the id that of the
 *   variant; and how many rows were written
 */
async function putPrices(db, batch) {
  const { records, refused } = readPrices(batch)
  const { outcomes, rows } = await db.transaction(async (trx) => {
    await lock(trx)
    await knowTheSize(trx)
    const lists = await listsOf(trx, records.map((record) => record.list))
    const variants = await variantsOf(trx, records.map((record) => record.sku))
    const gross = await grossCurrencies(trx)
    const outcomes = []
    const accepted = []
    for (const record of records) {
      const { key, list, sku, prices } = record
      const isHere = variants.has(sku) && (list === BASE || lists.has(list))
      const reason = prices.length ? whyNot(record, lists, variants, gross) : undefined
      outcomes.push(reason ? refusal(key, reason) : { key, id: variants.get(sku)?.id ?? null })
      if (isHere && !reason) accepted.push(record)
    }
    await addPriceSets(trx, accepted.map((record) => variants.get(record.sku)))
    const rows = await write(trx, accepted, lists, variants)
    return { outcomes, rows }
  })
  return { outcomes: [...refused, ...outcomes], rows }
}

function whyNot({ list, sku, prices }, lists, variants, gross) {
  if (list !== BASE && !lists.has(list)) return "the shop has no such list"
  if (!variants.has(sku)) return "the shop has no such SKU"
  const wanted = list !== BASE && lists.get(list).tax_inclusive
  const other = prices.find(({ currency }) => gross.has(currency.toLowerCase()) !== wanted)
  if (!other) return undefined
  const [has, has_not] = wanted ? ["with", "without"] : ["without", "with"]
  return `prices in ${other.currency} are ${has_not} taxes in this shop, and these are ${has} them`
}

/**
 * The variants of these SKUs, each with its price set, if it has one: SKU -> {id, price_set_id}.
 * Two look-ups by index: PostgreSQL joins tables that were just filled, of which it has no statistics, the wrong way.
 */
async function variantsOf(db, skus) {
  const variants = await db("product_variant")
    .whereRaw("sku = any(?)", [[...new Set(skus)]])
    .whereNull("deleted_at")
    .select("id", "sku")
  const links = await db("product_variant_price_set")
    .whereRaw("variant_id = any(?)", [variants.map((variant) => variant.id)])
    .whereNull("deleted_at")
    .select("variant_id", "price_set_id")
  const sets = new Map(links.map((link) => [link.variant_id, link.price_set_id]))
  return new Map(variants.map(({ id, sku }) => [sku, { id, price_set_id: sets.get(id) }]))
}

/** Currencies of which Medusa takes prices to have the taxes in them, in lower case. */
async function grossCurrencies(trx) {
  const preferences = { attribute: "currency_code", is_tax_inclusive: true, deleted_at: null }
  return new Set((await trx("price_preference").where(preferences).select("value")).map((row) => row.value))
}

/** A variant without a price set takes no price: Medusa answers 200 and forgets it. */
async function addPriceSets(trx, variants) {
  const bare = [...new Set(variants)].filter((variant) => !variant.price_set_id)
  if (!bare.length) return
  for (const variant of bare) variant.price_set_id = generateEntityId(undefined, "pset")
  await trx("price_set").insert(bare.map((variant) => ({ id: variant.price_set_id })))
  await trx("product_variant_price_set").insert(
    bare.map(({ id, price_set_id }) => ({ id: generateEntityId(undefined, "pvps"), variant_id: id, price_set_id }))
  )
}

/** One statement whatever the size of the batch. The fingerprint of a record is the title of its first row. */
async function write(trx, records, lists, variants) {
  const sets = records.map((record) => variants.get(record.sku).price_set_id)
  const ids = records.map((record) => lists.get(record.list)?.id ?? null)
  const [of, currencies, amounts, from, to, marks] = [[], [], [], [], [], []]
  records.forEach(({ prices, fingerprint }, n) => {
    prices.forEach(({ currency, amount, min, max }, m) => {
      of.push(n + 1)
      currencies.push(currency.toLowerCase())
      amounts.push(amount)
      from.push(min)
      to.push(max)
      marks.push(m ? null : fingerprint)
    })
  })
  const { rows: [{ written }] } = await trx.raw(
    `with asked as materialized (
       select n, set_id, list_id
       from unnest(cast(:sets as text[]), cast(:ids as text[])) with ordinality as t(set_id, list_id, n)
     ), wanted as materialized (
       select n, currency, "from", trim_scale(amount) as amount, "to" as max, mark,
         case when "from" > 1 or "to" is not null then "from" end as min
       from unnest(cast(:of as int[]), cast(:currencies as text[]), cast(:from as int[]), cast(:amounts as numeric[]),
         cast(:to as int[]), cast(:marks as text[])) as t(n, currency, "from", amount, "to", mark)
     ), there as (
       select a.n, p.id, p.currency_code as currency, coalesce(p.min_quantity, 1)::int as "from", p.title, p.amount,
         p.min_quantity, p.max_quantity, row_number() over (
           partition by a.n, p.currency_code, coalesce(p.min_quantity, 1), p.rules_count > 0 order by p.id
         ) = 1 and p.rules_count = 0 as takes
       from asked a cross join lateral (${rowsOf("a.set_id", "a.list_id")}) p
     ), pair as materialized (
       select t.id, w.*, (t.title, t.amount, t.min_quantity, t.max_quantity)
         is distinct from (w.mark, w.amount, w.min::numeric, w.max::numeric) as differs
       from there t full join wanted w
         on w.n = case when t.takes then t.n end and w.currency = t.currency and w."from" = t."from"
     ), gone as (
       update price p set deleted_at = now(), updated_at = now() from pair
       where p.id = pair.id and pair.n is null returning p.id
     ), changed as (
       update price p set title = w.mark, updated_at = now(), amount = w.amount, raw_amount = ${big("w.amount")},
         min_quantity = w.min, raw_min_quantity = ${big("w.min")}, max_quantity = w.max,
         raw_max_quantity = ${big("w.max")}
       from pair w
       where p.id = w.id and w.n is not null and w.differs returning p.id
     ), made as (
       insert into price (id, title, price_set_id, price_list_id, currency_code, amount, raw_amount, min_quantity,
         raw_min_quantity, max_quantity, raw_max_quantity)
       select :id || lpad(to_hex(row_number() over ()), 6, '0'), w.mark, a.set_id, a.list_id, w.currency, w.amount,
         ${big("w.amount")}, w.min, ${big("w.min")}, w.max, ${big("w.max")}
       from pair w join asked a using (n) where w.id is null
       returning id
     )
     select (select count(*) from gone) + (select count(*) from changed) + (select count(*) from made) as written`,
    { sets, ids, of, currencies, amounts, from, to, marks, id: generateEntityId(undefined, "price") }
  )
  return Number(written)
}

/** PostgreSQL itself looks at a table that is being filled after a minute, and till then reads it from end to end. */
async function knowTheSize(trx) {
  const { rows: [{ outgrown }] } = await trx.raw(
    `select pg_relation_size(oid) / current_setting('block_size')::int > 2 * relpages + 20 as outgrown
     from pg_class where oid = 'price'::regclass`
  )
  if (outgrown) await trx.raw("analyze price")
}

/** The live rows of a list in a price set, by index: see migration-scripts/indexes.js. */
const rowsOf = (set, list) =>
  `select * from price
   where price_set_id = ${set} and coalesce(price_list_id, '') = coalesce(${list}, '') and deleted_at is null offset 0`

/** How Medusa keeps a decimal beside itself. */
const big = (value) =>
  `case when ${value} is not null then jsonb_build_object('value', ${value}::text, 'precision', 20) end`

/** {key, id, fingerprint} of those of these records that have a price; fingerprint null where others wrote it. */
async function pricesOf(db, keys) {
  const asked = keys.map((key) => ({ key, list: key.slice(0, key.indexOf("|")), sku: key.slice(key.indexOf("|") + 1) }))
  const lists = await listsOf(db, asked.map(({ list }) => list))
  const variants = await variantsOf(db, asked.map(({ sku }) => sku))
  const known = asked.filter(({ list, sku }) => variants.get(sku)?.price_set_id && (list === BASE || lists.has(list)))
  const { rows } = await db.raw(
    `select key, id, max(p.title) as fingerprint
     from unnest(cast(:keys as text[]), cast(:variants as text[]), cast(:sets as text[]), cast(:lists as text[]))
       as k(key, id, set_id, list_id)
     cross join lateral (select title from (${rowsOf("set_id", "list_id")}) r) p
     group by key, id`,
    {
      keys: known.map(({ key }) => key),
      variants: known.map(({ sku }) => variants.get(sku).id),
      sets: known.map(({ sku }) => variants.get(sku).price_set_id),
      lists: known.map(({ list }) => lists.get(list)?.id ?? null),
    }
  )
  return rows
}

/** A page of the keys of all prices in the ERP's lists and of variants' own ones, and where the next page begins. */
async function priceKeys(db, { after, limit }) {
  const { rows } = await db.raw(
    `select p.id, case when p.price_list_id is null then :base else e.code end || '|' || v.sku as key,
       p.id = (select min(f.id) from (${rowsOf("p.price_set_id", "p.price_list_id")}) f) as first
     from (select * from price where deleted_at is null and id > :after order by id limit :limit) p
     left join product_variant_price_set s on s.price_set_id = p.price_set_id and s.deleted_at is null
     left join product_variant v on v.id = s.variant_id and v.deleted_at is null
     left join erp_price_list e on e.list_id = p.price_list_id
     order by p.id`,
    { after, limit, base: BASE }
  )
  const keys = rows.filter((row) => row.first && row.key !== null).map((row) => row.key)
  return { keys, next: rows.length < limit ? null : rows[rows.length - 1].id }
}

module.exports = { putPrices, pricesOf, priceKeys, variantsOf }
