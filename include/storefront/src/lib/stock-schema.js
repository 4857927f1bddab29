const { MedusaError } = require("@medusajs/framework/utils")
const { z } = require("@medusajs/framework/zod")

const filled = z.string().min(1).max(255)
const whole = z.number().int().min(0)

/** What the ERP says of one SKU at all locations. `counted`: of so many pieces of a line it has taken account. */
const Stock = z
  .object({
    sku: filled,
    as_of: z.string().datetime({ offset: true }),
    fingerprint: z.string().max(255).default(""),
    backorder: z.boolean().nullable(),
    levels: z.array(
      z
        .object({
          location: filled,
          sellable: whole,
          incoming: whole,
          expected: z.string().regex(/^\d{4}-\d\d-\d\d$/).nullable(),
        })
        .strict()
    ),
    counted: z.array(z.object({ line: filled, quantity: z.string().regex(/^\d{1,12}(\.\d{1,12})?$/) }).strict()),
  })
  .strict()
  .refine(({ levels }) => new Set(levels.map((level) => level.location)).size === levels.length, {
    message: "the same location stands at two levels",
  })
  .refine(({ counted }) => new Set(counted.map((one) => one.line)).size === counted.length, {
    message: "the same line is counted twice",
  })

/**
 * Read one of a batch.
 * @returns {{stock: object} | {reason: string}} the stock, or what is wrong with it
 */
function readStock(given) {
  const read = Stock.safeParse(given)
  if (!read.success) {
    return { reason: read.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ") }
  }
  if (JSON.stringify(read.data).includes("\\u0000")) return { reason: "holds a NUL character" }
  return { stock: read.data }
}

/** The list of a call. */
function stocksOf(body) {
  const stocks = body?.stocks
  if (!Array.isArray(stocks) || stocks.length > 1000) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "stocks: a list of at most 1,000 is expected")
  }
  return stocks
}

module.exports = { readStock, stocksOf }
