const { MedusaError } = require("@medusajs/framework/utils")
const { receiveReturn } = require("../../../../../../lib/returns")

/**
 * POST /admin/erp/orders/ORDER/returns {number, return_id?, location_id, items: [{id: LINE, quantity}]} -> {id: RETURN}
 * What has come back to the ERP is received in the shop, once; see lib/returns.js.
 */
module.exports.POST = async (req, res) => {
  const { number, return_id, location_id, items } = req.body ?? {}
  const whole = Array.isArray(items) && items.every(({ id, quantity }) => id && Number.isInteger(quantity) && quantity > 0)
  if (typeof number !== "string" || !number || !whole || !items.length) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "number and items [{id, quantity}] are expected")
  }
  res.json({ id: await receiveReturn(req.scope, req.params.id, { number, return_id, location_id, items }) })
}
