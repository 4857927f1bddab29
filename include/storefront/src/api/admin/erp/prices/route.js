const { batchOf } = require("../../../../lib/batch")
const { database } = require("../../../../lib/database")
const { page } = require("../../../../lib/page")
const { priceKeys, putPrices } = require("../../../../lib/prices")

/** GET /admin/erp/prices?after=&limit=1000 -> {keys: ["LIST|SKU"], next}: the next page's after, null at the end. */
module.exports.GET = async (req, res) => res.json(await priceKeys(database(req.scope), page(req.query)))

/**
 * POST /admin/erp/prices {prices: [...]} -> {outcomes: [{key, id, reason?}], rows}
 * Records as lib/price-schema.js describes them, at most 5,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  res.json(await putPrices(database(req.scope), batchOf(req.body, "prices", 5000)))
}
