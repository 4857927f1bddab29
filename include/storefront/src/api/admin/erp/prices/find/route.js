const { batchOf } = require("../../../../../lib/batch")
const { database } = require("../../../../../lib/database")
const { pricesOf } = require("../../../../../lib/prices")

/** POST /admin/erp/prices/find {keys: ["LIST|SKU"]} -> {prices: [{key, id, fingerprint}]}, those that are here. */
module.exports.POST = async (req, res) => {
  const keys = batchOf(req.body, "keys", 5000).map(String)
  res.json({ prices: await pricesOf(database(req.scope), keys) })
}
