const { database } = require("../../../../lib/database")
const { changesOf } = require("../../../../lib/orders")

/** GET /admin/erp/orders?id[]=ORDER -> {orders: [{id, edited, swaps, later_shipping}]}, see lib/orders.js. */
module.exports.GET = async (req, res) => {
  res.json({ orders: await changesOf(database(req.scope), [req.query.id ?? []].flat()) })
}
