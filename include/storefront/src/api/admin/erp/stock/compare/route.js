const { database } = require("../../../../../lib/database")
const { stocksOf } = require("../../../../../lib/stock-schema")
const { shownStocks } = require("../../../../../lib/stock")

/** POST /admin/erp/stock/compare {stocks: [...]} as for batch -> {shown: [SKU]}: those of which nothing is to be written. */
module.exports.POST = async (req, res) => {
  res.json({ shown: await shownStocks(database(req.scope), stocksOf(req.body)) })
}
