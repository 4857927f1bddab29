const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { changedOrders } = require("../../../../../lib/orders")
const { page } = require("../../../../../lib/page")

/**
 * GET /admin/erp/orders/changed?since=2026-11-24T08:00:00Z&after=ORDER&limit=1000 -> {ids: [ORDER]}
 * Placed orders of which anything has changed (payments and returns too) at `since` or later; without it all of them.
 * The next page comes after the last id.
 */
module.exports.GET = async (req, res) => {
  const { since } = req.query
  if (since !== undefined && !Number.isFinite(Date.parse(since))) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "since: an ISO 8601 time is expected")
  }
  res.json({ ids: await changedOrders(database(req.scope), { since, ...page(req.query) }) })
}
