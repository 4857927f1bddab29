const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { placedOrders } = require("../../../../../lib/placed")
const { page } = require("../../../../../lib/page")

/**
 * GET /admin/erp/orders/placed?since=2026-11-23T08:00:00Z&until=2026-11-24T08:00:00Z&after=ORDER&limit=1000
 * -> {orders: [{id, worth, due}]}: what a day brought, to compare it with the ERP. The next page comes after the last id.
 */
module.exports.GET = async (req, res) => {
  const { since, until } = req.query
  if (![since, until].every((time) => Number.isFinite(Date.parse(time)))) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "since, until: ISO 8601 times are expected")
  }
  res.json({ orders: await placedOrders(database(req.scope), { since, until, ...page(req.query) }) })
}
