const { ContainerRegistrationKeys } = require("@medusajs/framework/utils")

/** Indexes on Medusa's own tables for lib/stock.js, which asks for stock that somebody touched, every second. */
module.exports = {
  __esModule: true,
  default: async ({ container }) => {
    const db = container.resolve(ContainerRegistrationKeys.PG_CONNECTION)
    for (const table of ["inventory_level", "reservation_item", "product_variant"]) {
      await db.raw(`create index if not exists erp_${table}_updated on ${table} (updated_at)`)
    }
  },
}
