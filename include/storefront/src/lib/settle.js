const { endSessions } = require("./logins")

/**
 * Make the shop say of these customers what erp_account and erp_member say: who may log in, for which account he buys
 * now, and from that his customer group, company, name and the account's addresses. Writes only what differs.
 *
 * @param trx a transaction that holds the lock of lib/accounts.js
 * @param {string[]} customers ids of customers the ERP names, or has named
 * @param {string[]} dismissed those whose sessions end whatever else they may do
 * @returns {Promise<string[]>} ids of the customers of whom something changed
 */
async function settle(trx, customers, dismissed = []) {
  const wasOpen = await trx("erp_login").whereIn("customer_id", customers).where({ open: true }).select("customer_id")
  const changed = [
    ...(await settleLogins(trx, customers)),
    ...(await settleGroups(trx, customers)),
    ...(await settleCustomers(trx, customers)),
    ...(await settleAddresses(trx, customers)),
  ]
  const closed = await trx("erp_login")
    .whereIn("customer_id", wasOpen.map((row) => row.customer_id))
    .where({ open: false })
    .select("customer_id")
  await endSessions(trx, [...dismissed, ...closed.map((row) => row.customer_id)])
  return changed
}

/** A login is closed when all its accounts are. The active account stays while it may, else the first open one is it. */
async function settleLogins(trx, customers) {
  return idsOf(
    await trx.raw(
      `with member as (
         select m.customer_id, m.code, a.status = 'active' as open from erp_member m join erp_account a using (code)
         where m.customer_id = any(?)
       ), now as (
         select c.customer_id, coalesce(bool_or(m.open), true) as open,
           coalesce(min(m.code) filter (where m.open and m.code = l.active_code),
                    min(m.code) filter (where m.open)) as active_code
         from unnest(?::text[]) as c(customer_id)
         left join member m using (customer_id) left join erp_login l using (customer_id) group by c.customer_id
       )
       insert into erp_login as l (customer_id, open, active_code) select customer_id, open, active_code from now
       on conflict (customer_id) do update set open = excluded.open, active_code = excluded.active_code
         where (l.open, l.active_code) is distinct from (excluded.open, excluded.active_code)
       returning customer_id`,
      [customers, customers]
    )
  )
}

async function settleGroups(trx, customers) {
  const left = await trx.raw(
    `delete from customer_group_customer gc using customer_group g
     where gc.customer_group_id = g.id and g.name like 'erp:account:%' and gc.customer_id = any(?)
       and (gc.deleted_at is not null or not exists (
         select from erp_login l join erp_account a on a.code = l.active_code
         where l.customer_id = gc.customer_id and a.group_id = g.id))
     returning gc.customer_id`,
    [customers]
  )
  const joined = await trx.raw(
    `insert into customer_group_customer (id, customer_id, customer_group_id)
     select 'cusgc_' || replace(gen_random_uuid()::text, '-', ''), l.customer_id, a.group_id
     from erp_login l join erp_account a on a.code = l.active_code
     where l.customer_id = any(?) and not exists (
       select from customer_group_customer gc where gc.customer_id = l.customer_id and gc.customer_group_id = a.group_id)
     returning customer_id`,
    [customers]
  )
  return [...idsOf(left), ...idsOf(joined)]
}

/** The ERP owns the company; names and phone are the ERP's where it knows them. */
async function settleCustomers(trx, customers) {
  return idsOf(
    await trx.raw(
      `with wanted as (
         select l.customer_id, a.data ->> 'name' as company_name, m.data ->> 'first_name' as first_name,
           m.data ->> 'last_name' as last_name, m.data ->> 'phone' as phone, l.active_code
         from erp_login l left join erp_account a on a.code = l.active_code
         left join erp_member m on m.code = l.active_code and m.customer_id = l.customer_id
         where l.customer_id = any(?)
       )
       update customer c set company_name = w.company_name, first_name = coalesce(w.first_name, c.first_name),
         last_name = coalesce(w.last_name, c.last_name), phone = coalesce(w.phone, c.phone), updated_at = now(),
         metadata = coalesce(c.metadata, '{}') || jsonb_build_object('erp_account', w.active_code)
       from wanted w
       where c.id = w.customer_id
         and (c.company_name, c.first_name, c.last_name, c.phone, c.metadata ->> 'erp_account') is distinct from
           (w.company_name, coalesce(w.first_name, c.first_name), coalesce(w.last_name, c.last_name),
            coalesce(w.phone, c.phone), w.active_code)
       returning c.id as customer_id`,
      [customers]
    )
  )
}

const FIELDS = [
  "address_name", "company", "first_name", "last_name", "address_1", "address_2", "postal_code", "city", "province",
  "country_code",
]

/** The active account's addresses stand in the buyer's address book, marked; what he entered himself is not touched. */
async function settleAddresses(trx, customers) {
  const wanted = `
    select l.customer_id, l.active_code, t.external_id, t.invoice, t.delivery,
      t.name as address_name, a.data ->> 'name' as company, m.data ->> 'first_name' as first_name,
      m.data ->> 'last_name' as last_name, t.address_1, t.address_2, t.postal_code, t.city, t.province, t.country_code
    from erp_login l join erp_account a on a.code = l.active_code
    join erp_member m on m.code = l.active_code and m.customer_id = l.customer_id
    cross join jsonb_to_recordset(a.data -> 'addresses') as t(external_id text, name text, address_1 text, address_2 text,
      postal_code text, city text, province text, country_code text, invoice boolean, delivery boolean)
    where l.customer_id = any(?)`
  const same = `b.customer_id = w.customer_id and b.metadata ->> 'erp_account' = w.active_code
    and b.metadata ->> 'erp_address' = w.external_id and b.deleted_at is null`
  const of = (alias) => FIELDS.map((field) => `${alias}.${field}`).join(", ")
  const written = await trx.raw(
    `with wanted as (${wanted}), gone as (
       delete from customer_address b
       where b.customer_id = any(?) and b.metadata ->> 'erp_address' is not null
         and not exists (select from wanted w where ${same})
       returning b.customer_id
     ), corrected as (
       update customer_address b set ${FIELDS.map((field) => `${field} = w.${field}`).join(", ")}, updated_at = now()
       from wanted w where ${same} and (${of("b")}) is distinct from (${of("w")})
       returning b.customer_id
     ), added as (
       insert into customer_address (id, customer_id, metadata, ${FIELDS.join(", ")})
       select 'cuaddr_' || replace(gen_random_uuid()::text, '-', ''), w.customer_id,
         jsonb_build_object('erp_account', w.active_code, 'erp_address', w.external_id), ${of("w")}
       from wanted w where not exists (select from customer_address b where ${same})
       returning customer_id
     ) select * from gone union all select * from corrected union all select * from added`,
    [customers, customers]
  )
  for (const [use, flag] of [["invoice", "is_default_billing"], ["delivery", "is_default_shipping"]]) {
    await trx.raw(
      `with wanted as (${wanted})
       update customer_address b set ${flag} = true
       where b.id in (
         select distinct on (w.customer_id) b.id from wanted w join customer_address b on ${same}
         where w.${use} and not exists (
           select from customer_address d where d.customer_id = w.customer_id and d.${flag})
         order by w.customer_id, w.external_id)`,
      [customers]
    )
  }
  return idsOf(written)
}

function idsOf({ rows }) {
  return rows.map((row) => row.customer_id)
}

module.exports = { settle }
