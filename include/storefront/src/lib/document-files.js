const { MedusaError, Modules } = require("@medusajs/framework/utils")
const { database } = require("./database")

const MEGABYTES = 10
const WAITING = 20 // the ERP may take seconds for one

/** Kinds of prints, by their first bytes: nothing that a browser would run, whatever it is called. */
const KINDS = [
  { name: "pdf", type: "application/pdf", is: (bytes) => bytes.startsWith("%PDF-") },
  {
    name: "odt",
    type: "application/vnd.oasis.opendocument.text",
    is: (bytes) => /^PK\x03\x04[^]{26}mimetypeapplication\/vnd\.oasis\.opendocument\.text/.test(bytes),
  },
  {
    name: "fodt",
    type: "application/vnd.oasis.opendocument.text-flat-xml",
    is: (bytes) => /^(\xef\xbb\xbf)?<\?xml [^>]*>\s*<office:document\s/.test(bytes),
  },
]

const kindOf = (content) => KINDS.find(({ is }) => is(content.toString("latin1", 0, 400)))

/**
 * The print of a document, or a note that one is wished for.
 *
 * The shop keeps none until a buyer asks; what was delivered counts as long as the document is what it was. That the
 * ERP has none is believed for an hour.
 *
 * @param {{id, number, account, file, fingerprint}} document one that this buyer may see
 * @returns {Promise<{content?: Buffer, kind?: object, ordered?: boolean, full?: boolean}>} content and kind; or it was
 *   ordered; or too many are ordered already (full); nothing of these: there is none
 */
async function printOf(scope, { id, account, file, fingerprint }) {
  if (file === null) return {}
  const db = database(scope)
  const print = await db("erp_document_file")
    .where({ document_id: id, fingerprint })
    .whereRaw("(content is not null or delivered_at > now() - interval '1 hour')")
    .first("content")
  if (print) return print.content ? { content: print.content, kind: kindOf(print.content) } : {}
  const { rows: [{ waits, waiting }] } = await db.raw(
    `select coalesce(bool_or(w.document_id = :id and w.fingerprint = :fingerprint), false) as waits,
       count(*) filter (where w.document_id <> :id)::integer as waiting
     from erp_document_wish w join erp_document d on d.id = w.document_id where d.account = :account`,
    { id, fingerprint, account }
  )
  if (waits) return { ordered: true }
  if (waiting >= WAITING) return { full: true }
  const wish = { document_id: id, fingerprint }
  await db("erp_document_wish").insert(wish).onConflict("document_id").merge(["fingerprint"])
  await scope.resolve(Modules.EVENT_BUS).emit({ name: "erp.document.wished", data: {} })
  return { ordered: true }
}

/** The prints of a flow's documents that buyers wait for: {id, ref}, in the order they were asked for. */
function wishes(db, flow, { after, limit }) {
  return db("erp_document_wish as w")
    .join("erp_document as d", "d.id", "w.document_id")
    .where({ "d.flow": flow, "d.removed": false })
    .whereNotNull("d.file")
    .where("w.id", ">", after)
    .orderBy("w.id")
    .limit(limit)
    .select(db.raw("w.id::text as id"), "d.file as ref")
}

/**
 * Keep what was wished for, as it was to be then. A wish that is no more is none.
 * @param {string} wish
 * @param {string | null} content in base64; null: the ERP has none
 */
async function deliver(db, wish, content) {
  const bytes = content === null ? null : Buffer.from(content, "base64")
  const refuse = (reason) => {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, reason)
  }
  if (bytes && bytes.length > MEGABYTES * 1e6) refuse(`A document may have ${MEGABYTES} MB`)
  if (bytes && !kindOf(bytes)) refuse(`A document may be one of: ${KINDS.map(({ name }) => name).join(", ")}`)
  await db.raw(
    `with wish as (delete from erp_document_wish where id = ? returning document_id, fingerprint)
     insert into erp_document_file (document_id, fingerprint, content) select document_id, fingerprint, ? from wish
     on conflict (document_id) do update
       set fingerprint = excluded.fingerprint, content = excluded.content, delivered_at = now()`,
    [wish, bytes]
  )
}

module.exports = { printOf, wishes, deliver }
