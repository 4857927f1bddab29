/**
 * Medusa's order.updated_at stands still when a payment is captured or refunded, and when a return is settled: whatever
 * hangs on an order is asked for its own time. migration-scripts/order-indexes.js has an index for each of these.
 * (deleted_at is named where Medusa's own indexes name it.)
 */
const TOUCHED = `
  select id from "order" where updated_at >= :since
  union select order_id from order_change where updated_at >= :since
  union select order_id from order_item where updated_at >= :since
  union select i.order_id from order_line_item l join order_item i on i.item_id = l.id and i.deleted_at is null
    where l.updated_at >= :since
  union select order_id from "return" where updated_at >= :since
  union select order_id from order_exchange where updated_at >= :since
  union select order_id from order_claim where updated_at >= :since
  union select o.order_id from fulfillment f join order_fulfillment o on o.fulfillment_id = f.id and o.deleted_at is null
    where f.updated_at >= :since
  union select o.order_id from (
    select id from payment_collection where updated_at >= :since
    union select payment_collection_id from payment where updated_at >= :since
    union select p.payment_collection_id from capture c join payment p on p.id = c.payment_id where c.updated_at >= :since
    union select p.payment_collection_id from refund r join payment p on p.id = r.payment_id where r.updated_at >= :since
  ) m join order_payment_collection o on o.payment_collection_id = m.id and o.deleted_at is null`

/** Ids, in their order, of placed orders of which anything changed at `since` (ISO) or later; without it of all. */
async function changedOrders(db, { since, after, limit }) {
  const { rows } = await db.raw(
    `select id from "order" where not is_draft_order and deleted_at is null and id > :after
       ${since ? `and id in (${TOUCHED})` : ""} order by id limit :limit`,
    { ...(since && { since }), after, limit }
  )
  return rows.map((row) => row.id)
}

/**
 * What Medusa's own list of orders does not say: whether an edit was confirmed, and which lines and shipping methods came
 * with a return, an exchange or a claim: [{id, edited, swaps: [{id, kind, return_id, cancelled, lines: [LINE]}],
 * later_shipping: [{method, of}]}].
 */
async function changesOf(db, ids) {
  const { rows } = await db.raw(
    `select o.id, exists (
         select from order_change c
         where c.order_id = o.id and c.change_type = 'edit' and c.status = 'confirmed' and c.deleted_at is null
       ) as edited, coalesce(s.swaps, '[]') as swaps, coalesce(f.methods, '[]') as later_shipping
     from "order" o left join lateral (
       select json_agg(json_build_object('id', w.id, 'kind', w.kind, 'return_id', w.return_id,
         'cancelled', w.canceled_at is not null, 'lines', w.lines) order by w.id) as swaps
       from (
         select e.id, 'exchange' as kind, e.return_id, e.canceled_at, array(
           select i.item_id from order_exchange_item i where i.exchange_id = e.id and i.deleted_at is null order by 1
         ) as lines
         from order_exchange e where e.order_id = o.id and e.deleted_at is null
         union all
         select c.id, 'claim', c.return_id, c.canceled_at, array(
           select i.item_id from order_claim_item i
           where i.claim_id = c.id and i.is_additional_item and i.deleted_at is null order by 1
         )
         from order_claim c where c.order_id = o.id and c.deleted_at is null
       ) w
     ) s on true left join lateral (
       select json_agg(json_build_object('method', m.method, 'of', m.of) order by m.method, m.of) as methods
       from (
         select distinct h.shipping_method_id as method, coalesce(h.return_id, h.exchange_id, h.claim_id) as of
         from order_shipping h
         where h.order_id = o.id and h.deleted_at is null and coalesce(h.return_id, h.exchange_id, h.claim_id) is not null
       ) m
     ) f on true
     where o.id = any(?)`,
    [ids]
  )
  return rows
}

module.exports = { TOUCHED, changedOrders, changesOf }
