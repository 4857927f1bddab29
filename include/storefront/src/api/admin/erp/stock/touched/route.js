const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { page } = require("../../../../../lib/page")
const { touchedSkus } = require("../../../../../lib/stock")

/**
 * GET /admin/erp/stock/touched?since=2026-11-24T08:00:00Z&after=SKU&limit=1000 -> {skus: [SKU]}
 * SKUs whose stock, reservations or variant somebody has changed at `since` or later. The next page comes after the last.
 */
module.exports.GET = async (req, res) => {
  const { since } = req.query
  if (!Number.isFinite(Date.parse(since))) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "since: an ISO 8601 time is expected")
  }
  res.json({ skus: await touchedSkus(database(req.scope), { since, ...page(req.query) }) })
}
