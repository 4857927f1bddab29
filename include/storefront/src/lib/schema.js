const { z } = require("@medusajs/framework/zod")

const text = z.string().max(255)
const filled = text.min(1)
const optional = text.nullable().default(null)
const code = filled.max(64)

const Buyer = z
  .object({
    external_id: filled,
    email: z.string().email().max(254).transform((email) => email.toLowerCase()),
    first_name: optional,
    last_name: optional,
    phone: optional,
  })
  .strict()

const Address = z
  .object({
    external_id: filled,
    name: optional,
    address_1: optional,
    address_2: optional,
    postal_code: optional,
    city: optional,
    province: optional,
    country_code: z.string().regex(/^[a-z]{2}$/).nullable().default(null),
    invoice: z.boolean(),
    delivery: z.boolean(),
  })
  .strict()

/** One account as the ERP tells it. Buyers and addresses are always complete: who is not named is dismissed. */
const Account = z
  .object({
    code,
    name: filled,
    status: z.enum(["active", "blocked", "archived"]),
    fingerprint: text,
    credit_hold: z.boolean().default(false),
    tax_id: optional,
    tax_exempt: z.boolean().default(false),
    terms: z.object({ name: filled, days: z.number().int().min(0) }).strict().nullable().default(null),
    price_list: optional,
    currency: z.string().regex(/^[A-Z]{3}$/).nullable().default(null),
    buyers: z.array(Buyer),
    addresses: z.array(Address),
  })
  .strict()
  .refine(unique("buyers", "email"), "the same e-mail stands at two buyers")
  .refine(unique("addresses", "external_id"), "the same external_id stands at two addresses")

/** An account that the ERP has given up: all it says is that nobody buys on it any more. */
const Withdrawn = z.object({ code, status: z.literal("archived"), fingerprint: text }).strict()

function unique(list, field) {
  return (account) => new Set(account[list].map((one) => one[field])).size === account[list].length
}

/**
 * Read one account of a batch.
 * @returns {{account: object} | {reason: string}} the account, or what is wrong with it
 */
function readAccount(given) {
  const isWithdrawn = given !== null && typeof given === "object" && !("name" in given)
  const read = (isWithdrawn ? Withdrawn : Account).safeParse(given)
  if (!read.success) {
    return { reason: read.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ") }
  }
  if (JSON.stringify(read.data).includes("\\u0000")) return { reason: "holds a NUL character" }
  return { account: read.data }
}

module.exports = { readAccount }
