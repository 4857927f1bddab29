const { batchOf } = require("../../../../../lib/batch")
const { cartPrices } = require("../../../../../lib/price-proof")

/**
 * POST /admin/erp/prices/carts {questions: [{account, region, sku, quantity}]} -> {answers}, in their order
 * What these visitors pay for a piece, by real carts, which are thrown away again; at most 100 questions. See
 * lib/price-proof.js.
 */
module.exports.POST = async (req, res) => {
  res.json({ answers: await cartPrices(req.scope, batchOf(req.body, "questions", 100)) })
}
