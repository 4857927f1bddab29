const { database } = require("../../../../lib/database")
const { page } = require("../../../../lib/page")
const { writtenStocks } = require("../../../../lib/stock")

/**
 * GET /admin/erp/stock?sku[]=A&sku[]=B or ?after=SKU&limit=1000 -> {stocks: [{sku, id, fingerprint}]}
 * Ordered by SKU, byte by byte; without `sku` those of which levels were written, the next page after the last SKU.
 */
module.exports.GET = async (req, res) => {
  const skus = req.query.sku && [req.query.sku].flat()
  res.json({ stocks: await writtenStocks(database(req.scope), { skus, ...page(req.query) }) })
}
