const { generateEntityId } = require("@medusajs/framework/utils")
const { readAccount } = require("./schema")
const { logins, Refusal } = require("./logins")
const { settle } = require("./settle")

/**
 * Write a batch of the ERP's accounts.
 *
 * One transaction for the whole batch; where that fails, one per account, so that a bad account never stops the
 * others. Killed in the middle, nothing is left half done; sent again, only what differs is written.
 *
 * @param db the shop's knex connection
 * @param {unknown[]} given accounts as lib/schema.js describes them
 * @returns {Promise<object[]>} for each: {code, id, outcome: created|updated|unchanged|refused, reason?, notes}
 */
async function putAccounts(db, given) {
  const accounts = []
  const outcomes = []
  const seen = new Set()
  for (const one of given) {
    const { account, reason } = readAccount(one)
    const code = String(one?.code ?? "")
    if (reason) outcomes.push(refused(code, reason))
    else if (seen.has(code)) outcomes.push(refused(code, "the code occurs twice in this batch"))
    else accounts.push(account)
    seen.add(code)
  }
  try {
    outcomes.push(...(await db.transaction((trx) => write(trx, accounts))))
  } catch (error) {
    dataError(error)
    for (const account of accounts) {
      try {
        outcomes.push(...(await db.transaction((trx) => write(trx, [account]))))
      } catch (error) {
        outcomes.push(refused(account.code, dataError(error)))
      }
    }
  }
  return outcomes
}

function refused(code, reason) {
  return { code, id: null, outcome: "refused", reason, notes: [] }
}

/** Why the data is unfit: ours to say, or PostgreSQL's (classes 22 and 23 of its error codes). Other errors go on. */
function dataError(error) {
  if (error instanceof Refusal) return error.message
  if (!/^2[23]/.test(error.code)) throw error
  return error.detail ?? error.message.split(" - ").pop()
}

/** All that follows is set-wise: the number of statements does not grow with the batch. */
async function write(trx, accounts) {
  await lock(trx)
  const codes = accounts.map((account) => account.code)
  const before = new Map((await trx("erp_account").whereIn("code", codes)).map((row) => [row.code, row]))
  const written = new Set()
  const notes = new Map(codes.map((code) => [code, []]))

  const named = accounts.filter((account) => account.name !== undefined)
  add(written, await upsertGroups(trx, named))
  add(written, await upsertAccounts(trx, named))
  const closed = accounts.filter((account) => account.name === undefined && before.has(account.code))
  add(written, await withdraw(trx, closed))

  const wanted = named.flatMap(({ code, buyers }) => buyers.map((buyer) => ({ code, ...buyer })))
  const { customers, created, takenOver } = await logins(trx, wanted)
  const members = wanted.map(({ code, email, ...data }) => ({ code, email, customer_id: customers.get(email), data }))
  const affected = new Map((await trx("erp_member").whereIn("code", codes)).map((row) => [row.customer_id, row.code]))
  members.forEach((member) => affected.set(member.customer_id, member.code))
  const open = named.filter(({ status }) => status === "active").map(({ code }) => code)
  const dismissed = await dismiss(trx, open, members)
  add(written, dismissed.map((row) => row.code))
  add(written, await upsertMembers(trx, members))
  add(written, await removeStrangers(trx, codes))
  const changed = await settle(trx, [...affected.keys()], dismissed.map((row) => row.customer_id))
  add(written, changed.map((customer) => affected.get(customer)))

  for (const { code, email } of members) {
    if (created.has(email) || takenOver.has(email)) written.add(code)
    if (takenOver.has(email)) notes.get(code).push(`login taken over: ${customers.get(email)}`)
  }
  const after = await trx("erp_account").whereIn("code", codes).select("code", "group_id")
  const ids = new Map(after.map((row) => [row.code, row.group_id]))
  return codes.map((code) => ({
    code,
    id: ids.get(code) ?? null,
    outcome: !written.has(code) ? "unchanged" : before.has(code) ? "updated" : "created",
    notes: notes.get(code),
  }))
}

/** Whoever changes accounts, members or logins holds this until his transaction ends. */
function lock(trx) {
  return trx.raw("select pg_advisory_xact_lock(hashtext('crossdock erp accounts'))")
}

/** The customer group of an account is what prices and history hang on; its metadata is for people and price rules. */
async function upsertGroups(trx, accounts) {
  return codesOf(
    await trx.raw(
      `insert into customer_group as g (id, name, metadata)
       select id, 'erp:account:' || code, metadata from jsonb_to_recordset(?) as t(id text, code text, metadata jsonb)
       on conflict (name) where deleted_at is null do update
         set metadata = coalesce(g.metadata, '{}') || excluded.metadata, updated_at = now()
         where not coalesce(g.metadata, '{}') @> excluded.metadata
       returning metadata ->> 'erp_account' as code`,
      json(
        accounts.map((account) => ({
          id: generateEntityId(undefined, "cusgroup"),
          code: account.code,
          metadata: {
            erp_account: account.code,
            erp_name: account.name,
            erp_status: account.status,
            erp_credit_hold: account.credit_hold,
            erp_tax_exempt: account.tax_exempt,
            erp_terms: account.terms?.name ?? null,
            erp_price_list: account.price_list,
          },
        }))
      )
    )
  )
}

async function upsertAccounts(trx, accounts) {
  return codesOf(
    await trx.raw(
      `insert into erp_account as a (code, group_id, status, fingerprint, data)
       select t.code, g.id, t.status, t.fingerprint, t.data
       from jsonb_to_recordset(?) as t(code text, status text, fingerprint text, data jsonb)
       join customer_group g on g.name = 'erp:account:' || t.code and g.deleted_at is null
       on conflict (code) do update
         set group_id = excluded.group_id, status = excluded.status, fingerprint = excluded.fingerprint,
             data = excluded.data, updated_at = now()
         where (a.group_id, a.status, a.fingerprint, a.data)
           is distinct from (excluded.group_id, excluded.status, excluded.fingerprint, excluded.data)
       returning code`,
      json(accounts.map(({ code, status, fingerprint, buyers, ...data }) => ({ code, status, fingerprint, data })))
    )
  )
}

async function withdraw(trx, accounts) {
  const codes = codesOf(
    await trx.raw(
      `update erp_account a set status = 'archived', fingerprint = t.fingerprint, updated_at = now()
       from jsonb_to_recordset(?) as t(code text, fingerprint text)
       where a.code = t.code and (a.status, a.fingerprint) is distinct from ('archived', t.fingerprint)
       returning a.code`,
      json(accounts.map(({ code, fingerprint }) => ({ code, fingerprint })))
    )
  )
  await trx.raw(
    `update customer_group g set metadata = coalesce(g.metadata, '{}') || '{"erp_status": "archived"}', updated_at = now()
     from erp_account a where a.group_id = g.id and a.code = any(?)`,
    [codes]
  )
  return codes
}

/** Who is no longer named leaves. In a closed account nobody is dismissed: its buyers stay refused, not free. */
async function dismiss(trx, codes, members) {
  const { rows } = await trx.raw(
    `delete from erp_member m
     where m.code = any(?) and not exists (
       select from jsonb_to_recordset(?) as t(code text, customer_id text)
       where t.code = m.code and t.customer_id = m.customer_id)
     returning m.code, m.customer_id`,
    [codes, ...json(members)]
  )
  return rows
}

async function upsertMembers(trx, members) {
  return codesOf(
    await trx.raw(
      `insert into erp_member as m (code, customer_id, data)
       select code, customer_id, data from jsonb_to_recordset(?) as t(code text, customer_id text, data jsonb)
       on conflict (code, customer_id) do update set data = excluded.data where m.data <> excluded.data
       returning code`,
      json(members)
    )
  )
}

/** An account's group holds its buyers and nobody else, whoever put him there. */
async function removeStrangers(trx, codes) {
  return codesOf(
    await trx.raw(
      `delete from customer_group_customer gc using erp_account a
       where gc.customer_group_id = a.group_id and a.code = any(?)
         and not exists (select from erp_member m where m.code = a.code and m.customer_id = gc.customer_id)
       returning a.code`,
      [codes]
    )
  )
}

/** jsonb_to_recordset's one argument: the driver would take an array for a PostgreSQL array. */
function json(rows) {
  return [JSON.stringify(rows)]
}

function codesOf({ rows }) {
  return rows.map((row) => row.code)
}

function add(set, values) {
  values.forEach((value) => set.add(value))
}

module.exports = { putAccounts, lock, json }
