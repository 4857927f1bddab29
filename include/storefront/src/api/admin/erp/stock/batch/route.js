const { database } = require("../../../../../lib/database")
const { stocksOf } = require("../../../../../lib/stock-schema")
const { putStocks } = require("../../../../../lib/stock")

/**
 * POST /admin/erp/stock/batch {stocks: [...]} -> {outcomes: [{sku, id, outcome, code?, reason?}]}
 * Stocks as lib/stock-schema.js describes them, at most 1,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  res.json({ outcomes: await putStocks(database(req.scope), stocksOf(req.body)) })
}
