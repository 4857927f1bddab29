const { MedusaError } = require("@medusajs/framework/utils")
const { payBack } = require("../../../../../../lib/refunds")

/**
 * POST /admin/erp/orders/ORDER/refunds {number, amount: "5.90"} -> {}
 * What the ERP has paid back is refunded in the shop, once; see lib/refunds.js.
 */
module.exports.POST = async (req, res) => {
  const { number, amount } = req.body ?? {}
  if (typeof number !== "string" || !number || !(Number(amount) > 0)) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "number and a positive amount are expected")
  }
  await payBack(req.scope, req.params.id, { number, amount })
  res.json({})
}
