const { MedusaError } = require("@medusajs/framework/utils")
const { z } = require("@medusajs/framework/zod")
const { readBatch } = require("./batch")

const FLOWS = ["offline_orders", "invoices"]

// lengths are Crossdock's, which counts code points, in UTF-16 units
const text = z.string().max(510).refine(isKept, "holds what PostgreSQL does not keep")
const filled = text.min(1)
const decimal = z.string().regex(/^-?\d{1,14}(\.\d{1,8})?$/)
const day = z.iso.date()

function isKept(given) {
  return given.isWellFormed() && !given.includes("\0")
}

/** A line as it is printed. Without a SKU: no article; without a quantity: a remark. */
const Line = z
  .object({
    sku: filled.nullable(),
    title: z.string().max(4000).refine(isKept, "holds what PostgreSQL does not keep"),
    quantity: decimal.nullable(),
    unit: text,
    price: decimal,
    net: decimal,
    successor: filled.nullable(),
  })
  .strict()

const version = {
  key: filled,
  fingerprint: filled,
  changed_at: z.iso.datetime({ offset: true }),
}

/** One document. `changed_at`: the state of the ERP it was read from; `file`: the ERP's own name of the print. */
const Document = z
  .object({
    ...version,
    number: filled,
    kind: z.enum(["order", "invoice", "credit_note"]),
    account: filled.max(64),
    made_on: day,
    due_on: day.nullable(),
    currency: z.string().regex(/^[A-Z]{3}$/),
    net: decimal,
    tax: decimal,
    total: decimal,
    open: decimal.nullable(),
    status: z.enum(["open", "partly sent", "sent", "partly paid", "paid", "credited", "cancelled"]),
    reference: text,
    belongs_to: z.array(filled),
    lines: z.array(Line),
    parcels: z.array(
      z.object({ number: filled, url: z.string().max(1000).regex(/^https?:\/\/[^\0]*$/).nullable() }).strict()
    ),
    file: filled.nullable(),
  })
  .strict()

/** A document that is shown no more; without `changed_at` the ERP does not know it any more. */
const Removed = z.object({ ...version, changed_at: version.changed_at.nullable(), removed: z.literal(true) }).strict()

const readDocuments = (batch) => readBatch(batch, (given) => (given?.removed ? Removed : Document), ["key"])

/** One of the two flows. */
function flowOf(given) {
  if (FLOWS.includes(given)) return given
  throw new MedusaError(MedusaError.Types.INVALID_DATA, `flow: one of ${FLOWS.join(", ")} is expected`)
}

module.exports = { flowOf, readDocuments }
