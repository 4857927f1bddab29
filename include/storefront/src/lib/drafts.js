const { database } = require("./database")

/**
 * An order that staff types in for a buyer is his account's, if he has but the one: it says so (erp_account) before it
 * becomes an order. Of several nobody but staff knows which; what staff wrote into the draft's metadata stays.
 */
async function markAccount(req, _res, next) {
  await database(req.scope).raw(
    `update "order" o set metadata = coalesce(o.metadata, '{}') || jsonb_build_object('erp_account', m.code)
     from (select customer_id, min(code) as code from erp_member group by customer_id having count(*) = 1) m
     where o.id = ? and o.is_draft_order and m.customer_id = o.customer_id and o.metadata ->> 'erp_account' is null`,
    [req.params.id]
  )
  next()
}

module.exports = { markAccount }
