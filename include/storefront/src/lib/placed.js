const { TOUCHED } = require("./orders")

/**
 * Orders placed at `since` or later and before `until` (ISO), with what was authorised when they were placed: read from
 * payments, not from lines, so that it proves something. Not `due`: cancelled, nothing authorised, edited since, or
 * touched at `until` or later. Keyset by id.
 */
async function placedOrders(db, { since, until, after, limit }) {
  const { rows } = await db.raw(
    `select o.id, coalesce(m.amount, 0)::text as worth,
       o.status <> 'canceled' and m.amount is not null
         and not exists (select from order_change c where c.order_id = o.id and c.change_type = 'edit'
                         and c.status = 'confirmed')
         and o.id not in (
           select t.id from (${TOUCHED.replaceAll(":since", ":until")}) as t(id) where t.id is not null
         ) as due
     from "order" o
     left join lateral (
       select sum(p.amount) as amount
       from order_payment_collection l
       join payment_collection k on k.id = l.payment_collection_id and k.created_at <= o.created_at
       join payment p on p.payment_collection_id = k.id and p.canceled_at is null and p.deleted_at is null
       where l.order_id = o.id and l.deleted_at is null
     ) m on true
     where not o.is_draft_order and o.deleted_at is null and o.id > :after
       and o.created_at >= :since and o.created_at < :until
     order by o.id limit :limit`,
    { since, until, after, limit }
  )
  return rows
}

module.exports = { placedOrders }
