const { generateEntityId } = require("@medusajs/framework/utils")

/** This account cannot be written as it is; the message says why. */
class Refusal extends Error {}

/**
 * Find or make the login of each buyer the ERP names.
 *
 * A login somebody made himself under a buyer's e-mail proves nothing: on its first link all ways into it are
 * removed (password, other providers, second factors, sessions, reset tokens under way) and what it says of accounts
 * is scrubbed. The login the buyer gets has no password: only the holder of the mailbox can set one, by the reset
 * mail. An administrator who is also a buyer keeps his: he came by invitation. An identity of any other kind of user
 * is a Refusal, for a person to sort out.
 *
 * @param trx a transaction that holds the lock of lib/accounts.js
 * @param {{email: string}[]} buyers e-mails in lower case
 * @returns {Promise<{customers: Map<string, string>, created: Set<string>, takenOver: Set<string>}>} customer ids by
 *   e-mail; the e-mails whose customer or login was made now; those whose login was somebody's before
 */
async function logins(trx, buyers) {
  const emails = [...new Set(buyers.map((buyer) => buyer.email))]
  const found = await existing(trx, emails)
  const customers = new Map([...found].map(([email, customer]) => [email, customer.id]))

  const strangers = [...found].filter(([, customer]) => !customer.ours).map(([email, { id }]) => ({ email, id }))
  await scrub(trx, strangers)
  const unknown = emails.filter((email) => !found.has(email))
  const fresh = unknown.map((email) => ({ email, id: generateEntityId(undefined, "cus") }))
  if (fresh.length) await trx("customer").insert(fresh.map((one) => ({ ...one, has_account: true })))
  fresh.forEach(({ email, id }) => customers.set(email, id))

  const without = await withoutLogin(trx, [...customers].map(([email, id]) => ({ email, id })))
  const suspect = unique([...strangers, ...without])
  const voided = await voidIdentities(trx, suspect)
  await makeIdentities(trx, suspect)
  return {
    customers,
    created: new Set(suspect.map((one) => one.email)),
    takenOver: new Set([...strangers.map((one) => one.email), ...voided]),
  }
}

/**
 * The registered customer of each e-mail, in any letter case. Ours: the ERP named him before, or he is in one of our
 * groups, into which only an administrator can put somebody.
 */
async function existing(trx, emails) {
  const { rows } = await trx.raw(
    `select distinct on (lower(c.email)) lower(c.email) as email, c.id,
       l.customer_id is not null or exists (
         select from customer_group_customer gc join customer_group g on g.id = gc.customer_group_id
         where gc.customer_id = c.id and gc.deleted_at is null and g.name like 'erp:%') as ours
     from customer c left join erp_login l on l.customer_id = c.id
     where c.has_account and c.deleted_at is null and lower(c.email) = any(?)
     order by lower(c.email), ours desc, c.email = lower(c.email) desc, c.created_at desc`,
    [emails]
  )
  return new Map(rows.map((row) => [row.email, row]))
}

async function scrub(trx, customers) {
  await trx.raw(
    `update customer c set email = t.email, first_name = null, last_name = null, phone = null, updated_at = now(),
       metadata = (select jsonb_object_agg(key, value) from jsonb_each(c.metadata) where not starts_with(key, 'erp_'))
     from jsonb_to_recordset(?) as t(id text, email text) where c.id = t.id`,
    [JSON.stringify(customers)]
  )
  await trx.raw(
    `update customer_address a set is_default_billing = false, is_default_shipping = false,
       metadata = (select jsonb_object_agg(key, value) from jsonb_each(a.metadata) where not starts_with(key, 'erp_'))
     where a.customer_id = any(?)`,
    [customers.map((customer) => customer.id)]
  )
}

async function withoutLogin(trx, customers) {
  const { rows } = await trx.raw(
    `select t.id, t.email from jsonb_to_recordset(?) as t(id text, email text)
     where not exists (
       select from provider_identity p join auth_identity i on i.id = p.auth_identity_id
       where p.provider = 'emailpass' and p.entity_id = t.email and i.app_metadata ->> 'customer_id' = t.id
         and p.deleted_at is null and i.deleted_at is null)`,
    [JSON.stringify(customers)]
  )
  return rows
}

/** Remove every identity that leads to these customers or was made under their e-mails. Gives the e-mails concerned. */
async function voidIdentities(trx, customers) {
  const { rows } = await trx.raw(
    `with given as (select * from jsonb_to_recordset(?) as t(id text, email text)), way as (
       select g.email, i.id from given g join auth_identity i on i.app_metadata ->> 'customer_id' = g.id
       union
       select g.email, p.auth_identity_id from given g
       join provider_identity p on lower(p.entity_id) = g.email and p.provider = 'emailpass'
     )
     select w.email, i.id, i.app_metadata ->> 'user_id' is not null as shared, exists (
       select from jsonb_object_keys(i.app_metadata) key where key like '%\\_id' and key <> 'customer_id') as others
     from way w join auth_identity i on i.id = w.id`,
    [JSON.stringify(customers)]
  )
  const foreign = rows.find((row) => row.others && !row.shared)
  if (foreign) throw new Refusal(`the login of a buyer (identity ${foreign.id}) belongs to another kind of user of the shop`)
  const ids = (shared) => rows.filter((row) => row.shared === shared).map((row) => row.id)
  await trx("auth_identity").whereIn("id", ids(false)).del()
  await trx.raw("update auth_identity set app_metadata = app_metadata - 'customer_id' where id = any(?)", [ids(true)])
  return rows.filter((row) => !row.shared).map((row) => row.email)
}

async function makeIdentities(trx, customers) {
  const { rows } = await trx.raw(
    `update auth_identity i set app_metadata = i.app_metadata || jsonb_build_object('customer_id', t.id), updated_at = now()
     from jsonb_to_recordset(?) as t(id text, email text)
     join provider_identity p on p.provider = 'emailpass' and p.entity_id = t.email
     where i.id = p.auth_identity_id returning t.id`,
    [JSON.stringify(customers)]
  )
  const shared = new Set(rows.map((row) => row.id))
  const made = customers
    .filter((customer) => !shared.has(customer.id))
    .map((customer) => ({ ...customer, identity: generateEntityId(undefined, "authid") }))
  if (!made.length) return
  await trx("auth_identity").insert(made.map((one) => ({ id: one.identity, app_metadata: { customer_id: one.id } })))
  await trx("provider_identity").insert(
    made.map((one) => ({
      id: generateEntityId(),
      provider: "emailpass",
      entity_id: one.email,
      auth_identity_id: one.identity,
    }))
  )
}

/**
 * End all sessions of these customers; their passwords stay. A token names the identity it was made for: with a new id
 * of that identity no older token is one of this login any more (see currentLogin in lib/guard.js).
 */
async function endSessions(trx, customers) {
  const identities = await trx("auth_identity").whereRaw("app_metadata ->> 'customer_id' = any(?)", [customers]).select("id")
  for (const { id } of identities) {
    await trx("auth_identity").where({ id }).update({ id: generateEntityId(undefined, "authid") })
  }
}

function unique(customers) {
  return [...new Map(customers.map((customer) => [customer.id, customer])).values()]
}

module.exports = { logins, endSessions, Refusal }
