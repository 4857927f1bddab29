const { z } = require("@medusajs/framework/zod")
const { readBatch } = require("./batch")

const code = z.string().min(1).max(64).regex(/^[^|\0]+$/)
const fingerprint = z.string().max(255)
const moment = z.string().datetime().nullable()

/** A list of the ERP. Among the lists that fit a visitor the highest rank wins; "accounts": only members see it. */
const List = z
  .object({
    code: code.refine((given) => given !== "base", "this is the list of the variants' own prices"),
    fingerprint,
    title: z.string().min(1).max(255).regex(/^[^\0]+$/),
    audience: z.enum(["everybody", "accounts"]),
    rank: z.number().int().min(0).max(20),
    starts_at: moment,
    ends_at: moment,
    tax_inclusive: z.boolean(),
  })
  .strict()

/** A list that the ERP has given up: nobody sees it any more. */
const Withdrawn = z.object({ code, fingerprint }).strict()

/** The lists an account sees besides those for everybody. */
const Member = z.object({ account: code, fingerprint, lists: z.array(code).max(1000) }).strict()

const quantity = z.number().int().min(1)

/** All that a list ("base": the variant's own prices) says of a SKU. Amounts are decimals; no tiers overlap. */
const Prices = z
  .object({
    list: code,
    sku: z.string().min(1).max(100).regex(/^[^\0]+$/),
    fingerprint,
    prices: z.array(
      z
        .object({
          currency: z.string().regex(/^[A-Z]{3}$/),
          amount: z.string().regex(/^\d{1,12}(\.\d{1,8})?$/),
          min: quantity,
          max: quantity.nullable(),
        })
        .strict()
    ),
  })
  .strict()
  .refine(disjoint, "the tiers of a currency overlap")

function disjoint({ prices }) {
  const tiers = [...prices].sort((a, b) => (a.currency < b.currency ? -1 : a.currency > b.currency ? 1 : a.min - b.min))
  return tiers.every(
    ({ currency, min, max }, n) =>
      (max === null || max >= min) &&
      (n + 1 === tiers.length || tiers[n + 1].currency !== currency || (max !== null && max < tiers[n + 1].min))
  )
}

const readLists = (batch) => readBatch(batch, (given) => (given && "title" in Object(given) ? List : Withdrawn), ["code"])
const readMembers = (batch) => readBatch(batch, () => Member, ["account"])
const readPrices = (batch) => readBatch(batch, () => Prices, ["list", "sku"])

module.exports = { readLists, readMembers, readPrices }
