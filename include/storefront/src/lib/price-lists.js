const { generateEntityId } = require("@medusajs/framework/utils")
const { json } = require("./accounts")
const { refusal } = require("./batch")
const { readLists, readMembers } = require("./price-schema")

/**
 * Write a batch of the ERP's price lists, in one transaction; sent again, only what differs is written.
 *
 * @param db the shop's knex connection
 * @param {unknown[]} batch lists as lib/price-schema.js describes them
 * @returns {Promise<object[]>} for each, in any order: {key, id, reason?}; with a reason it was refused
 */
async function putLists(db, batch) {
  const { records, refused } = readLists(batch)
  const done = await db.transaction(async (trx) => {
    await lock(trx)
    const ids = await listsOf(trx, records.map((list) => list.code))
    const named = records.filter((list) => list.title !== undefined)
    const lists = named.map((list) => ({ ...list, id: ids.get(list.code)?.id ?? generateEntityId(undefined, "plist") }))
    await upsertLists(trx, lists)
    await withdraw(trx, records.filter((list) => list.title === undefined))
    await settleRules(trx, lists.map((list) => list.code))
    lists.forEach(({ code, id }) => ids.set(code, { id }))
    return records.map(({ key }) => ({ key, id: ids.get(key)?.id ?? null }))
  })
  return [...refused, ...done]
}

/** The same for the lists that accounts see: whoever changes lists does so in one moment. */
async function putMembers(db, batch) {
  const { records, refused } = readMembers(batch)
  const done = await db.transaction(async (trx) => {
    await lock(trx)
    const lists = await listsOf(trx, records.flatMap((member) => member.lists))
    const codes = records.map((member) => member.account)
    const accounts = await trx("erp_account").whereIn("code", codes).select("code", "group_id")
    const groups = new Map(accounts.map((account) => [account.code, account.group_id]))
    const reasons = new Map(records.map((member) => [member.key, whyNoMember(member, groups, lists)]))
    const members = records.filter(({ key }) => groups.has(key) && !reasons.get(key))
    await settleRules(trx, await upsertMembers(trx, members))
    return records.map(({ key }) =>
      reasons.get(key) ? refusal(key, reasons.get(key)) : { key, id: groups.get(key) ?? null }
    )
  })
  return [...refused, ...done]
}

function whyNoMember({ account, lists }, groups, known) {
  if (lists.length && !groups.has(account)) return "the shop has no such account"
  const missing = lists.filter((code) => !known.has(code))
  return missing.length ? `the shop has no list ${missing.slice(0, 5).join(", ")}` : undefined
}

/** Whoever writes lists, members or prices holds this until his transaction ends: price rows have no natural key. */
function lock(trx) {
  return trx.raw("select pg_advisory_xact_lock(hashtext('crossdock erp prices'))")
}

/** Those of these lists that are here and not deleted: code -> {id, tax_inclusive}. */
async function listsOf(db, codes) {
  const rows = await db("erp_price_list as e")
    .join("price_list as p", "p.id", "e.list_id")
    .whereNull("p.deleted_at")
    .whereIn("e.code", [...new Set(codes)])
    .select("e.code", "p.id", "e.tax_inclusive")
  return new Map(rows.map((row) => [row.code, row]))
}

/** Medusa takes a list until ends_at, that moment included; the ERP's last moment is the one before. */
async function upsertLists(trx, lists) {
  const given = json(lists)
  await trx.raw(
    `insert into price_list as p (id, title, description, status, type, starts_at, ends_at, metadata)
     select id, title, 'Kept by the ERP: ' || code, 'active', 'override', starts_at, ends_at - interval '1 microsecond',
       jsonb_build_object('erp_list', code)
     from jsonb_to_recordset(?) as t(id text, code text, title text, starts_at timestamptz, ends_at timestamptz)
     on conflict (id) do update
       set title = excluded.title, status = excluded.status, type = excluded.type, starts_at = excluded.starts_at,
           ends_at = excluded.ends_at, updated_at = now()
       where (p.title, p.status, p.type, p.starts_at, p.ends_at) is distinct from
         (excluded.title, excluded.status, excluded.type, excluded.starts_at, excluded.ends_at)`,
    given
  )
  await trx.raw(
    `insert into erp_price_list as e (code, list_id, audience, rank, tax_inclusive, fingerprint)
     select code, id, audience, rank, tax_inclusive, fingerprint from jsonb_to_recordset(?)
       as t(code text, id text, audience text, rank integer, tax_inclusive boolean, fingerprint text)
     on conflict (code) do update
       set list_id = excluded.list_id, audience = excluded.audience, rank = excluded.rank,
           tax_inclusive = excluded.tax_inclusive, fingerprint = excluded.fingerprint
       where (e.list_id, e.audience, e.rank, e.tax_inclusive, e.fingerprint) is distinct from
         (excluded.list_id, excluded.audience, excluded.rank, excluded.tax_inclusive, excluded.fingerprint)`,
    given
  )
}

async function withdraw(trx, lists) {
  await trx.raw(
    `with given as (select * from jsonb_to_recordset(?) as t(code text, fingerprint text)), marked as (
       update erp_price_list e set fingerprint = given.fingerprint from given
       where e.code = given.code and e.fingerprint <> given.fingerprint
     )
     update price_list p set status = 'draft', updated_at = now() from given join erp_price_list e using (code)
     where p.id = e.list_id and p.status <> 'draft'`,
    json(lists)
  )
}

/** Of members whose lists differ these lists: the ones they see from now on, and the ones they do not any more. */
async function upsertMembers(trx, members) {
  const { rows } = await trx.raw(
    `with given as (
       select account, fingerprint, array(select jsonb_array_elements_text(lists) order by 1) as lists
       from jsonb_to_recordset(?) as t(account text, fingerprint text, lists jsonb)
     ), before as (
       select account, m.lists as old, given.lists as new from given left join erp_price_member m using (account)
     ), written as (
       insert into erp_price_member as m (account, lists, fingerprint) select account, lists, fingerprint from given
       on conflict (account) do update set lists = excluded.lists, fingerprint = excluded.fingerprint
         where (m.lists, m.fingerprint) is distinct from (excluded.lists, excluded.fingerprint)
     )
     select distinct unnest(old || new) as code from before where old is distinct from new`,
    json(members.map(({ lists, ...member }) => ({ ...member, lists: [...new Set(lists)] })))
  )
  return rows.map((row) => row.code)
}

/**
 * Who sees these lists, and which of them wins: Medusa takes the list with the most rules, then the lowest amount. So a
 * list has as many equal rules as its rank says, and one more: the customer groups of its members (without any it is
 * nobody's), or for a list for everybody all regions. One for everybody of rank 0 has none.
 *
 * Lists for everybody are looked at each time, for a new region.
 */
async function settleRules(trx, codes) {
  await trx.raw(
    `with seen as materialized (
       select l.code, jsonb_agg(a.group_id order by a.code) as groups
       from erp_price_member m join erp_account a on a.code = m.account cross join unnest(m.lists) as l(code)
       where m.lists && :codes and l.code = any(:codes) group by l.code
     ), everywhere as materialized (
       select jsonb_agg(id order by id) as regions from region where deleted_at is null
     ), list as materialized (
       select e.list_id, case when e.audience = 'everybody' and e.rank = 0 then 0 else e.rank + 1 end as count,
         case e.audience when 'accounts' then 'customer.groups.id' else 'region_id' end as attribute,
         coalesce(case e.audience when 'accounts' then s.groups else w.regions end, '[]') as value
       from everywhere w cross join erp_price_list e left join seen s on s.code = e.code collate "C"
       where e.code = any(:codes) or (e.audience = 'everybody' and e.rank > 0)
     ), rule as materialized (
       select replace(list_id, 'plist_', 'prule_') || '_' || n as id, list_id, attribute, value
       from list cross join generate_series(1, count) as n
     ), gone as (
       delete from price_list_rule r using list
       where r.price_list_id = list.list_id and not exists (select from rule where rule.id = r.id)
     ), counted as (
       update price_list p set rules_count = list.count from list
       where p.id = list.list_id and p.rules_count is distinct from list.count
     )
     insert into price_list_rule as r (id, price_list_id, attribute, value)
     select id, list_id, attribute, value from rule
     on conflict (id) do update
       set attribute = excluded.attribute, value = excluded.value, deleted_at = null, updated_at = now()
       where (r.attribute, r.value) is distinct from (excluded.attribute, excluded.value) or r.deleted_at is not null`,
    { codes }
  )
}

/** {code, id, fingerprint} of these lists, or of all in their order; lists that people made have their id as code. */
async function lists(db, { codes, after, limit }) {
  const { rows } = await db.raw(
    `select coalesce(e.code, p.id) as code, p.id, e.fingerprint
     from price_list p left join erp_price_list e on e.list_id = p.id
     where p.deleted_at is null and ${codes ? "e.code = any(:codes)" : 'coalesce(e.code, p.id) collate "C" > :after'}
     order by coalesce(e.code, p.id) collate "C" ${codes ? "" : "limit :limit"}`,
    codes ? { codes } : { after, limit }
  )
  return rows
}

/** {account, id, fingerprint} of these accounts, or of all in their order; the id is the account's customer group. */
function members(db, { codes, after, limit }) {
  const query = db("erp_price_member as m")
    .join("erp_account as a", "a.code", "m.account")
    .select("m.account", "a.group_id as id", "m.fingerprint")
    .orderBy("m.account")
  return codes ? query.whereIn("m.account", codes) : query.where("m.account", ">", after).limit(limit)
}

module.exports = { putLists, putMembers, listsOf, lists, members, lock, settleRules }
