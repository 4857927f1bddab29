const { database } = require("../../../../lib/database")
const { swapsOf } = require("../../../../lib/orders")

/** GET /admin/erp/orders?id[]=ORDER -> {orders: [{id, edited, swaps: [{id, kind, return_id, cancelled, lines}]}]} */
module.exports.GET = async (req, res) => {
  res.json({ orders: await swapsOf(database(req.scope), [req.query.id ?? []].flat()) })
}
