const { readStock } = require("./stock-schema")
const { alone } = require("./stock-lock")

/**
 * What can be sold of a SKU, as the ERP says, brought into Medusa's levels.
 *
 * A level is to say: stocked = sellable + what is still reserved there for counted lines. Sellable has these lines taken
 * off already; Medusa takes off all that is reserved. Of a counted line as much is covered as has not been fulfilled
 * yet, over its reservations in their order. It is added up in the transaction that writes, in which nothing is
 * fulfilled (lib/stock-lock.js), so an order, a cancellation or a fulfilment between the ERP's reading and the writing
 * is neither lost nor doubled.
 *
 * A level bears in metadata.erp what was last written: {as_of, fingerprint, expected, at}. `at` is its updated_at by
 * then: a level that somebody else has touched since has another.
 */

const ISO = (time) => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** An earlier figure that claims to be from later than this from now is not believed. */
const CLOCKS_DIFFER = 5 * 60 * 1000

/**
 * Write a batch in one transaction; what is refused does not stop the rest, and repeating it changes nothing.
 *
 * @param db the shop's knex connection
 * @param {unknown[]} given stocks as lib/stock-schema.js describes them
 * @returns {Promise<object[]>} for each: {sku, id, outcome, code?, reason?}; id is the inventory item's; outcome: written,
 *   unchanged, late (something newer is shown already), withdrawn (no longer sold: left as it is), refused
 */
async function putStocks(db, given) {
  const { stocks, outcomes } = readAll(given)
  return [...outcomes, ...(stocks.length ? await alone(db, (trx) => write(trx, stocks)) : [])]
}

async function write(trx, stocks) {
  const { judged, places } = await judge(trx, stocks)
  const good = judged.filter((one) => !one.outcome)
  await trx.raw(
    "select id from inventory_level where inventory_item_id = any(?) and deleted_at is null order by id for update",
    [good.map((one) => one.item)]
  )
  const uncounted = good.filter((one) => !one.is_counted)
  if (uncounted.length) await link(trx, uncounted)
  const starting = good.filter((one) => one.is_first || !one.is_counted)
  if (starting.length) await reserveForOpenOrders(trx, starting)
  const written = new Set([...(await writeLevels(trx, good, places)), ...(await writeVariants(trx, good))])
  return judged.map(({ sku, item, outcome, code, reason }) => ({
    sku,
    id: item ?? null,
    outcome: outcome ?? (written.has(item) ? "written" : "unchanged"),
    ...(reason && { code, reason }),
  }))
}

/** The SKUs of these stocks that are shown already as putStocks would leave them. Those it refuses are not. */
async function shownStocks(db, given) {
  const { judged, places } = await judge(db, readAll(given).stocks)
  const left = judged.filter((one) => one.outcome === "late" || one.outcome === "withdrawn")
  const kept = judged.filter(
    (one) => !one.outcome && one.is_counted && one.allow_backorder === (one.backorder ?? one.allow_backorder)
  )
  const { rows } = await db.raw(
    `${PLANNED} select item from planned group by item having bool_and(coalesce(is_same, false))`,
    bindings(kept, places)
  )
  const same = new Set(rows.map((row) => row.item))
  return [...left, ...kept.filter((one) => same.has(one.item))].map((one) => one.sku)
}

// ------------------------------------------------------------ what is to be written

function readAll(given) {
  const stocks = []
  const outcomes = []
  const seen = new Set()
  for (const one of given) {
    const { stock, reason } = readStock(one)
    const sku = String(one?.sku ?? "")
    if (reason) outcomes.push({ sku, id: null, ...refused("invalid", reason) })
    else if (seen.has(sku)) outcomes.push({ sku, id: null, ...refused("invalid", "the SKU occurs twice in this batch") })
    else stocks.push(stock)
    seen.add(sku)
  }
  return { stocks, outcomes }
}

function refused(code, reason) {
  return { outcome: "refused", code, reason }
}

/** Each stock with what it is in the shop; with an `outcome` where nothing is to be written. */
async function judge(db, stocks) {
  const known = await variantsOf(db, stocks.map((stock) => stock.sku))
  const places = await shippingPlaces(db)
  const judged = stocks.map((stock) => {
    const variant = known.get(stock.sku)
    return { ...stock, ...variant, ...objection(stock, variant, places) }
  })
  for (const one of judged) {
    one.levels = one.levels.map((level) => ({ ...level, location: places.get(level.location)?.[0] }))
  }
  return { judged, places: [...places.values()].flat() }
}

function objection(stock, variant, places) {
  if (!variant) return refused("unknown_sku", "the shop has no variant with this SKU")
  if (variant.withdrawn) return { outcome: "withdrawn" }
  if (!variant.item) return refused("no_inventory_item", "the variant has no inventory item")
  if (variant.items > 1 || !variant.is_alone) {
    return refused("shared_inventory", "the variant is made of several inventory items, or shares one with another variant")
  }
  for (const { location } of stock.levels) {
    const found = places.get(location)?.length ?? 0
    if (!found) return refused("unknown_location", `no stock location has the erp_code ${location}`)
    if (found > 1) return refused("unknown_location", `several stock locations have the erp_code ${location}`)
  }
  const before = Date.parse(variant.as_of_before)
  return before > Date.parse(stock.as_of) && before < Date.now() + CLOCKS_DIFFER ? { outcome: "late" } : {}
}

/** Whoever switches off that a variant is counted loses its link to the inventory item (2.18.0), which stays. */
async function variantsOf(db, skus) {
  const { rows } = await db.raw(
    `select v.sku, v.id as variant, v.manage_inventory and k.items > 0 as is_counted, v.allow_backorder, k.items,
       i.id as item, m.as_of_before, m.as_of_before is null as is_first,
       coalesce(v.metadata -> 'erp' ->> 'withdrawn' = 'true', false) as withdrawn,
       coalesce(k.is_single, true) and not exists (
         select from product_variant_inventory_item s
         join product_variant o on o.id = s.variant_id and o.id <> v.id and o.deleted_at is null
         where s.inventory_item_id = i.id and s.deleted_at is null
       ) as is_alone
     from product_variant v
     cross join lateral (
       select count(*)::int as items, min(l.inventory_item_id) as item, bool_and(l.required_quantity = 1) as is_single
       from product_variant_inventory_item l
       join inventory_item n on n.id = l.inventory_item_id and n.deleted_at is null
       where l.variant_id = v.id and l.deleted_at is null
     ) k
     cross join lateral (
       select coalesce(k.item, (
         select id from inventory_item where sku = v.sku and deleted_at is null and k.items = 0)) as id
     ) i
     left join lateral (
       select max(metadata #>> '{erp,as_of}') as as_of_before
       from inventory_level where inventory_item_id = i.id and deleted_at is null
     ) m on true
     where v.sku = any(:skus) and v.deleted_at is null`,
    { skus }
  )
  return new Map(rows.map((row) => [row.sku, row]))
}

/** By the ERP's code the ids of the locations that orders may be sent from, most often one. */
async function shippingPlaces(db) {
  const { rows } = await db.raw(
    "select metadata ->> 'erp_code' as code, id from stock_location where metadata ->> 'erp_code' <> '' and deleted_at is null"
  )
  const places = new Map()
  for (const { code, id } of rows) places.set(code, [...(places.get(code) ?? []), id])
  return places
}

/**
 * Every location of every item as it is to be. Where the ERP says nothing of a location there is a level all the same,
 * for orders that are sent from there; it keeps its figure, but is never below what it covers.
 */
const PLANNED = `
  with wanted as materialized (
    select * from jsonb_to_recordset(:wanted) as t(item text, as_of text, fingerprint text, levels jsonb, counted jsonb)
  ), said as (
    select w.item, l.* from wanted w cross join lateral
      jsonb_to_recordset(w.levels) as l(location text, sellable numeric, incoming numeric, expected text)
  ), covered as (
    select item, location, sum(quantity) as quantity from (
      select w.item, r.location_id as location, least(r.quantity, greatest(0,
        c.quantity - coalesce(f.quantity, 0)
          - (sum(r.quantity) over (partition by r.inventory_item_id, r.line_item_id order by r.id) - r.quantity)
      )) as quantity
      from wanted w
      cross join lateral jsonb_to_recordset(w.counted) as c(line text, quantity numeric)
      join reservation_item r on r.line_item_id = c.line and r.inventory_item_id = w.item and r.deleted_at is null
      left join lateral (${fulfilled("c.line")}) f on true
    ) one group by item, location
  ), planned as materialized (
    select w.item, p.location, l.id, w.as_of, w.fingerprint, s.item is not null as is_said, n.*, l.metadata,
      (l.stocked_quantity, l.incoming_quantity, l.metadata #>> '{erp,expected}')
        is not distinct from (n.stocked, n.incoming, n.expected) as is_same
    from wanted w
    cross join unnest(:places::text[]) as p(location)
    left join said s on (s.item, s.location) = (w.item, p.location)
    left join covered c on (c.item, c.location) = (w.item, p.location)
    left join inventory_level l
      on l.inventory_item_id = w.item and l.location_id = p.location and l.deleted_at is null
    cross join lateral (
      select case when s.item is null then greatest(l.stocked_quantity, coalesce(c.quantity, 0))
                  else s.sellable + coalesce(c.quantity, 0) end as stocked,
        coalesce(s.incoming, l.incoming_quantity, 0) as incoming,
        case when s.item is null then l.metadata #>> '{erp,expected}' else s.expected end as expected
    ) n
  )`

/** How much of an order's line has been fulfilled, by the order as it is now. */
function fulfilled(line) {
  return `
    select i.fulfilled_quantity as quantity from order_item i
    join "order" o on (o.id, o.version) = (i.order_id, i.version)
    where i.item_id = ${line} and i.deleted_at is null`
}

function bindings(judged, places) {
  const wanted = judged.map(({ item, as_of, fingerprint, levels, counted }) => ({
    item, as_of, fingerprint, levels, counted,
  }))
  return { wanted: JSON.stringify(wanted), places }
}

// ------------------------------------------------------------ writing

const RAW = (number) => `jsonb_build_object('value', trim_scale(${number})::text, 'precision', 20)`
const ID = (prefix) => `'${prefix}_' || replace(gen_random_uuid()::text, '-', '')`

/** Medusa keeps each quantity twice: as a number, and as text with its precision (raw_...). */
async function writeLevels(trx, judged, places) {
  const mark = `jsonb_strip_nulls(jsonb_build_object('erp', jsonb_build_object('at', ${ISO("now()")},
    'as_of', case when p.is_said then p.as_of else p.metadata #>> '{erp,as_of}' end,
    'fingerprint', case when p.is_said then p.fingerprint else p.metadata #>> '{erp,fingerprint}' end,
    'expected', p.expected)))`
  const { rows } = await trx.raw(
    `${PLANNED}, added as (
       insert into inventory_level (id, inventory_item_id, location_id, stocked_quantity, raw_stocked_quantity,
         incoming_quantity, raw_incoming_quantity, reserved_quantity, raw_reserved_quantity, metadata)
       select ${ID("ilev")}, p.item, p.location, p.stocked, ${RAW("p.stocked")}, p.incoming, ${RAW("p.incoming")},
         r.quantity, ${RAW("r.quantity")}, ${mark}
       from planned p cross join lateral (
         select coalesce(sum(quantity), 0) as quantity from reservation_item
         where inventory_item_id = p.item and location_id = p.location and deleted_at is null
       ) r
       where p.id is null
       on conflict (inventory_item_id, location_id) where deleted_at is null do nothing
       returning inventory_item_id as item
     ), changed as (
       update inventory_level l set stocked_quantity = p.stocked, raw_stocked_quantity = ${RAW("p.stocked")},
         incoming_quantity = p.incoming, raw_incoming_quantity = ${RAW("p.incoming")},
         metadata = coalesce(l.metadata, '{}') || ${mark}, updated_at = now()
       from planned p
       where l.id = p.id and (not p.is_same or p.is_said and
         (p.metadata #>> '{erp,as_of}', p.metadata #>> '{erp,fingerprint}') is distinct from (p.as_of, p.fingerprint))
       returning p.item
     ) select item from added union select item from changed`,
    bindings(judged, places)
  )
  return rows.map((row) => row.item)
}

/** What the ERP keeps stock of is counted here; whether it may be sold out of stock the ERP says, or the shop. */
async function writeVariants(trx, judged) {
  const { rows } = await trx.raw(
    `update product_variant v set manage_inventory = true, allow_backorder = coalesce(t.backorder, v.allow_backorder),
       updated_at = now()
     from jsonb_to_recordset(?) as t(variant text, item text, backorder boolean)
     where v.id = t.variant and (not v.manage_inventory or v.allow_backorder <> t.backorder)
     returning t.item`,
    [JSON.stringify(judged.map(({ variant, item, backorder }) => ({ variant, item, backorder })))]
  )
  return rows.map((row) => row.item)
}

async function link(trx, judged) {
  await trx.raw(
    `insert into product_variant_inventory_item (id, variant_id, inventory_item_id, required_quantity)
     select ${ID("pvitem")}, variant, item, 1 from jsonb_to_recordset(?) as t(variant text, item text)
     on conflict (variant_id, inventory_item_id) do update set deleted_at = null, required_quantity = 1, updated_at = now()`,
    [JSON.stringify(judged.map(({ variant, item }) => ({ variant, item })))]
  )
}

/**
 * Medusa fulfils what is counted only from a reservation, and makes one when the order is placed. What was ordered
 * before the shop began to count gets one now: of a variant that was not counted until this moment all that is open,
 * of one that is new to us (the flow items has switched it on) what the ERP has on its books.
 */
async function reserveForOpenOrders(trx, starting) {
  const wanted = starting.map(({ variant, item, levels, is_counted, allow_backorder, backorder }) => ({
    variant,
    item,
    location: fullest(levels),
    all: !is_counted,
    backorder: backorder ?? allow_backorder,
  }))
  await trx.raw(
    `with open as (
       select t.item, t.location, t.backorder, i.item_id as line, i.quantity - i.fulfilled_quantity as quantity
       from jsonb_to_recordset(?) as t(variant text, item text, location text, "all" boolean, backorder boolean)
       join order_line_item n on n.variant_id = t.variant and n.deleted_at is null
       join order_item i on i.item_id = n.id and i.deleted_at is null
       join "order" o on (o.id, o.version) = (i.order_id, i.version)
       where t.location is not null and i.quantity > i.fulfilled_quantity
         and o.status = 'pending' and not o.is_draft_order and o.deleted_at is null
         and (t."all" or o.metadata ->> 'erp_number' <> '')
         and not exists (
           select from reservation_item r
           where r.line_item_id = n.id and r.inventory_item_id = t.item and r.deleted_at is null)
     ), made as (
       insert into reservation_item (id, line_item_id, inventory_item_id, location_id, quantity, raw_quantity,
         allow_backorder)
       select ${ID("resitem")}, line, item, location, quantity, ${RAW("quantity")}, backorder from open
       returning inventory_item_id as item, location_id as location, quantity
     ), more as (
       select item, location, sum(quantity) as quantity from made group by item, location
     )
     update inventory_level l set reserved_quantity = l.reserved_quantity + m.quantity,
       raw_reserved_quantity = ${RAW("l.reserved_quantity + m.quantity")}
     from more m where l.inventory_item_id = m.item and l.location_id = m.location and l.deleted_at is null`,
    [JSON.stringify(wanted)]
  )
}

function fullest(levels) {
  return [...levels].sort((one, other) => other.sellable - one.sellable)[0]?.location
}

// ------------------------------------------------------------ what is there

/**
 * SKUs, in their order, of which at `since` (ISO) or later somebody else changed a level, a reservation or the variant. migration-scripts/stock-indexes.js has the indexes: it is asked every second.
 */
async function touchedSkus(db, { since, after, limit }) {
  const { rows } = await db.raw(
    `select distinct v.sku collate "C" as sku
     from (
       select l.variant_id from (
         select inventory_item_id as item from inventory_level
         where updated_at >= :since and metadata #>> '{erp,at}' is distinct from ${ISO("updated_at")}
         union select inventory_item_id from inventory_level where deleted_at >= :since
         union select inventory_item_id from reservation_item where updated_at >= :since
         union select inventory_item_id from reservation_item where deleted_at >= :since
       ) t join product_variant_inventory_item l on l.inventory_item_id = t.item and l.deleted_at is null
       union select id from product_variant o where updated_at >= :since and not exists (
         select from product_variant_inventory_item l join inventory_level n using (inventory_item_id)
         where l.variant_id = o.id and n.deleted_at is null and n.metadata #>> '{erp,at}' = ${ISO("o.updated_at")})
     ) t
     join product_variant v on v.id = t.variant_id and v.deleted_at is null
     where v.sku collate "C" > :after order by 1 limit :limit`,
    { since, after, limit }
  )
  return rows.map((row) => row.sku)
}

/** What is reserved of these SKUs for lines of orders: [{sku, order, line, location, quantity, fulfilled}]. */
async function reservedOf(db, skus) {
  const { rows } = await db.raw(
    `select v.sku, o.id as "order", i.item_id as line, p.metadata ->> 'erp_code' as location,
       r.quantity::text as quantity, i.fulfilled_quantity::text as fulfilled
     from product_variant v
     join product_variant_inventory_item l on l.variant_id = v.id
     join reservation_item r on r.inventory_item_id = l.inventory_item_id and r.deleted_at is null
     join order_item i on i.item_id = r.line_item_id and i.deleted_at is null
     join "order" o on (o.id, o.version) = (i.order_id, i.version)
     join stock_location p on p.id = r.location_id and p.metadata ->> 'erp_code' <> ''
     where v.sku = any(?) and v.deleted_at is null
     order by r.id`,
    [skus]
  )
  return rows
}

/** What was written of SKUs: these, or `limit` after one. {sku, id, fingerprint}; null: not written, or not by one call. */
async function writtenStocks(db, { skus, after, limit }) {
  const { rows } = await db.raw(
    `select v.sku, v.id, m.fingerprint
     from (
       select v.sku collate "C" as sku, l.inventory_item_id as id
       from product_variant v
       join product_variant_inventory_item l on l.variant_id = v.id and l.deleted_at is null
       where v.deleted_at is null and ${skus ? "v.sku = any(:skus)" : `v.sku collate "C" > :after and exists (
         select from inventory_level n
         where n.inventory_item_id = l.inventory_item_id and n.deleted_at is null and n.metadata #>> '{erp,as_of}' <> '')`}
       order by 1 ${skus ? "" : "limit :limit"}
     ) v
     cross join lateral (
       select case when count(distinct metadata #>> '{erp,fingerprint}') = 1
                   then min(metadata #>> '{erp,fingerprint}') end as fingerprint
       from inventory_level
       where inventory_item_id = v.id and deleted_at is null and metadata #>> '{erp,as_of}' <> ''
     ) m
     order by v.sku`,
    skus ? { skus } : { after, limit }
  )
  return rows
}

module.exports = { putStocks, shownStocks, touchedSkus, reservedOf, writtenStocks }
