const { json } = require("./accounts")
const { refusal } = require("./batch")
const { readDocuments } = require("./document-schema")

const COLUMNS = [
  "number", "kind", "account", "made_on", "due_on", "currency", "net", "tax", "total", "open", "status", "reference",
  "belongs_to", "lines", "parcels", "file", "words", "fingerprint", "changed_at",
]

/**
 * Write a batch of one flow's documents, in one transaction; sent again, only what differs is written. Which of two
 * versions is the newer one is said by `changed_at`, not by which comes first: batches may come side by side.
 *
 * @param db the shop's knex connection
 * @param {string} flow offline_orders or invoices
 * @param {unknown[]} batch documents as lib/document-schema.js describes them
 * @returns {Promise<object[]>} for each, in any order: {key, id, outcome: created|updated|removed|unchanged|late},
 *   late: a newer version is here; or {key, id: null, reason} where it was refused
 */
async function putDocuments(db, flow, batch) {
  const { records, refused } = readDocuments(batch)
  const done = await db.transaction(async (trx) => {
    await lock(trx)
    const known = await knownOf(trx, flow, records)
    const here = records.filter(({ key }) => !known.get(key).stranger)
    const rows = here.map((one) => (one.removed ? one : { ...one, words: wordsOf(one) }))
    const written = [
      ...(await upsert(trx, flow, rows.filter((row) => !row.removed))),
      ...(await withdraw(trx, flow, rows.filter((row) => row.removed))),
    ]
    await forget(trx, written.map(({ id }) => id))
    const changed = new Map(written.map((row) => [row.key, row]))
    return records.map(({ key }) => {
      const { id, late, stranger } = known.get(key)
      if (stranger) return refusal(key, "the shop has no such account")
      return changed.get(key) ?? { key, id, outcome: late ? "late" : "unchanged" }
    })
  })
  return [...refused, ...done]
}

/** Whoever writes documents holds this until his transaction ends. */
function lock(trx) {
  return trx.raw("select pg_advisory_xact_lock(hashtext('crossdock erp documents'))")
}

/** Of each record what is here: its id, whether that is a newer version, and whether the account is not here. */
async function knownOf(trx, flow, records) {
  const { rows } = await trx.raw(
    `select g.key, d.id, d.changed_at > g.changed_at as late, g.account is not null and a.code is null as stranger
     from jsonb_to_recordset(?) as g(key text, account text, changed_at timestamptz)
     left join erp_document d on d.flow = ? and d.key = g.key collate "C"
     left join erp_account a on a.code = g.account collate "C"`,
    [...json(records.map(({ key, account, changed_at }) => ({ key, account, changed_at }))), flow]
  )
  return new Map(rows.map((row) => [row.key, row]))
}

async function upsert(trx, flow, rows) {
  const names = COLUMNS.join(", ")
  const { rows: written } = await trx.raw(
    `insert into erp_document as d (id, flow, key, ${names})
     select 'erpdoc_' || replace(gen_random_uuid()::text, '-', ''), ?, key, ${names}
     from jsonb_to_recordset(?) as t(key text, number text, kind text, account text, made_on date, due_on date,
       currency text, net numeric, tax numeric, total numeric, open numeric, status text, reference text,
       belongs_to jsonb, lines jsonb, parcels jsonb, file text, words text, fingerprint text, changed_at timestamptz)
     on conflict (flow, key) do update
       set ${COLUMNS.map((name) => `${name} = excluded.${name}`).join(", ")}, removed = false
       where d.changed_at <= excluded.changed_at
         and (d.removed or (d.fingerprint, d.changed_at) <> (excluded.fingerprint, excluded.changed_at))
     returning key, id, case when xmax = 0 then 'created' else 'updated' end as outcome`,
    [flow, ...json(rows)]
  )
  return written
}

/** What the ERP has no more has no date of its own: if it comes back, it is what it was. */
async function withdraw(trx, flow, rows) {
  const { rows: written } = await trx.raw(
    `update erp_document d
     set removed = true, fingerprint = t.fingerprint, changed_at = coalesce(t.changed_at, d.changed_at)
     from jsonb_to_recordset(?) as t(key text, fingerprint text, changed_at timestamptz)
     where d.flow = ? and d.key = t.key collate "C" and d.changed_at <= coalesce(t.changed_at, d.changed_at)
       and not (d.removed and d.fingerprint = t.fingerprint)
     returning d.key, d.id, 'removed' as outcome`,
    [...json(rows), flow]
  )
  return written
}

/** A print of what a document was before, and the wish for it. */
async function forget(trx, ids) {
  for (const table of ["erp_document_file", "erp_document_wish"]) {
    await trx.raw(
      `delete from ${table} t using erp_document d
       where d.id = t.document_id and d.id = any(?) and (d.removed or d.fingerprint <> t.fingerprint)`,
      [ids]
    )
  }
}

/** What a buyer may look for. */
function wordsOf({ number, reference, belongs_to, lines }) {
  const said = lines.flatMap(({ sku, title }) => [sku, title])
  return [number, reference, ...belongs_to, ...said].filter(Boolean).join("\n").toLowerCase()
}

/** Those of these documents that are here, removed ones too: {key, id, fingerprint, total, removed}. */
async function documentsOf(db, flow, keys) {
  return db("erp_document")
    .where({ flow })
    .whereIn("key", keys)
    .select("key", "id", "fingerprint", "removed", db.raw("total::text as total"))
}

/** Keys of a flow, in their order, removed ones too. */
async function documentKeys(db, flow, { after, limit }) {
  return db("erp_document").where({ flow }).where("key", ">", after).orderBy("key").limit(limit).pluck("key")
}

/**
 * What the documents of each account come to, by currency: those made on `since` or later and before `until`, where
 * given, but for those removed and those with a key in `without`.
 * @returns {Promise<{account, currency, count, total, open}[]>} amounts as text
 */
async function controlOf(db, { flow, since, until, without }) {
  const { rows } = await db.raw(
    `select account, currency, count(*)::integer as count, sum(total)::text as total,
       coalesce(sum(open), 0)::text as open
     from erp_document
     where flow = :flow and not removed and not key = any(:without)
       and made_on >= coalesce(:since, '-infinity')::date and made_on < coalesce(:until, 'infinity')::date
     group by account, currency order by account, currency`,
    { flow, since: since ?? null, until: until ?? null, without }
  )
  return rows
}

module.exports = { putDocuments, documentsOf, documentKeys, controlOf }
