const { ContainerRegistrationKeys } = require("@medusajs/framework/utils")

const CHANGING = [
  "order", "order_change", "order_item", "order_line_item", "order_exchange", "order_claim", "return", "fulfillment",
  "payment_collection", "payment", "capture", "refund",
]

/** Indexes on Medusa's own tables for lib/orders.js, which asks for what has changed of orders, every few minutes. */
module.exports = {
  __esModule: true,
  default: async ({ container }) => {
    const db = container.resolve(ContainerRegistrationKeys.PG_CONNECTION)
    for (const table of CHANGING) {
      await db.raw(`create index if not exists erp_${table}_updated on "${table}" (updated_at)`)
    }
  },
}
