const { MedusaError } = require("@medusajs/framework/utils")
const { z } = require("@medusajs/framework/zod")
const { database } = require("./database")

const day = z.iso.date().optional()
const listed = (given) => (given === undefined ? given : [given].flat())
const some = (values) => z.preprocess(listed, z.array(z.enum(values)).optional())

const Question = z.object({
  kind: some(["order", "invoice", "credit_note"]),
  status: some(["open", "partly sent", "sent", "partly paid", "paid", "credited", "cancelled"]),
  q: z.string().max(200).default(""),
  from: day,
  until: day,
  account: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  offset: z.coerce.number().int().min(0).max(1000000).default(0),
})

/** What a buyer may ask for, of a query string. Names that are not known are passed over, as Medusa does. */
function questionOf(query) {
  const read = Question.safeParse(query)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]
  throw new MedusaError(MedusaError.Types.INVALID_DATA, `${path.join(".")}: ${message}`)
}

/** The documents of those open accounts that a customer is a buyer of. Nothing else is ever shown to him. */
function visible(db, customer) {
  return db("erp_document as d")
    .join("erp_member as m", "m.code", "d.account")
    .join("erp_account as a", "a.code", "m.code")
    .join("erp_login as l", "l.customer_id", "m.customer_id")
    .where({ "m.customer_id": customer, "a.status": "active", "l.open": true, "d.removed": false })
}

const OVERDUE = "(d.open > 0 and d.due_on < current_date)"

const SHOWN = [
  "d.id", "d.number", "d.kind", "d.account", "d.currency", "d.status", "d.reference",
  ...["made_on", "due_on", "net", "tax", "total", "open"].map((name) => `d.${name}::text as ${name}`),
  `coalesce(${OVERDUE}, false) as overdue`, "d.file is not null as has_file",
].join(", ")

/**
 * A page of a buyer's documents, the newest first, and how many there are in all. Each word of `q` is looked for in
 * numbers, references, SKUs and titles; `from` is the first day, `until` the one after the last.
 */
async function history(scope, customer, { kind, status, q, from, until, account, limit, offset }) {
  const found = visible(database(scope), customer)
  if (kind) found.whereIn("d.kind", kind)
  if (status) found.whereIn("d.status", status)
  if (account) found.where("d.account", account)
  if (from) found.where("d.made_on", ">=", from)
  if (until) found.where("d.made_on", "<", until)
  for (const word of q.toLowerCase().split(/\s+/).filter(Boolean)) {
    found.where("d.words", "like", `%${word.replace(/[\\%_]/g, "\\$&")}%`)
  }
  const [{ count }] = await found.clone().count()
  const newest = [{ column: "d.made_on", order: "desc" }, { column: "d.key", order: "desc" }, "d.id"]
  const documents = await found.select(database(scope).raw(SHOWN)).orderBy(newest).limit(limit).offset(offset)
  return { documents, count: Number(count), limit, offset }
}

/** One of them, with what it is kept by; another account's and one that is none are answered alike. */
async function visibleDocument(scope, customer, id) {
  const db = database(scope)
  const document = await visible(db, customer)
    .where("d.id", id)
    .first(db.raw(`${SHOWN}, d.belongs_to, d.lines, d.parcels, d.file, d.fingerprint`))
  if (!document) throw new MedusaError(MedusaError.Types.NOT_FOUND, "You have no such document")
  return document
}

/**
 * One of them, as a buyer sees it: with its lines, those that are sold now with their variant, and the documents it was
 * made of or that were made of it.
 */
async function wholeDocument(scope, customer, id, channels) {
  const db = database(scope)
  const { file, fingerprint, belongs_to, lines, ...document } = await visibleDocument(scope, customer, id)
  const sold = await soldVariants(db, lines.map(({ sku }) => sku), channels)
  const related = await visible(db, customer)
    .where("d.account", document.account)
    .whereNot("d.id", id)
    .whereRaw("(d.number = any(?) or d.belongs_to @> ?::jsonb)", [belongs_to, JSON.stringify([document.number])])
    .orderBy("d.made_on")
    .limit(50)
    .select("d.id", "d.kind", "d.number")
  const linked = lines.map((line) => ({ ...line, variant: sold.get(line.sku) ?? null }))
  return { ...document, belongs_to, related, lines: linked }
}

/** Variants with these SKUs that visitors of these sales channels can buy: SKU -> {id, product_id, handle}. */
async function soldVariants(db, skus, channels) {
  const { rows } = await db.raw(
    `select v.sku, v.id, v.product_id, p.handle from product_variant v join product p on p.id = v.product_id
     where v.sku = any(?) and v.deleted_at is null and p.deleted_at is null and p.status = 'published'
       and v.metadata -> 'erp' ->> 'withdrawn' is distinct from 'true'
       and exists (select from product_sales_channel c
         where c.product_id = p.id and c.sales_channel_id = any(?) and c.deleted_at is null)`,
    [[...new Set(skus.filter(Boolean))], channels]
  )
  return new Map(rows.map(({ sku, ...variant }) => [sku, variant]))
}

/** What each of a buyer's accounts still has to pay, by currency, and what of it is overdue; credit notes count. */
async function balance(scope, customer) {
  const db = database(scope)
  return visible(db, customer)
    .whereIn("d.kind", ["invoice", "credit_note"])
    .groupBy("d.account", "d.currency")
    .orderBy(["d.account", "d.currency"])
    .select("d.account", "d.currency")
    .select(db.raw("coalesce(sum(d.open), 0)::text as open"))
    .select(db.raw(`coalesce(sum(d.open) filter (where ${OVERDUE}), 0)::text as overdue`))
}

module.exports = { questionOf, history, visibleDocument, wholeDocument, soldVariants, balance }
