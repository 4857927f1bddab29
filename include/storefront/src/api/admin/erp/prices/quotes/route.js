const { batchOf } = require("../../../../../lib/batch")
const { quotes } = require("../../../../../lib/price-proof")

/**
 * POST /admin/erp/prices/quotes {questions: [{account, region, sku, quantity}]} -> {answers}, in their order
 * What these visitors pay for a piece, by the shop's own pricing; at most 5000 questions. See lib/price-proof.js.
 */
module.exports.POST = async (req, res) => {
  res.json({ answers: await quotes(req.scope, batchOf(req.body, "questions", 5000)) })
}
