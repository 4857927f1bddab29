const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { reservedOf } = require("../../../../../lib/stock")

/**
 * POST /admin/erp/stock/reserved {skus: [SKU]} -> {reserved: [{sku, order, line, location, quantity, fulfilled}]}
 * What is kept back for lines of orders at the ERP's locations; quantities as text. It reads; SKUs fill no URL.
 */
module.exports.POST = async (req, res) => {
  const skus = req.body?.skus
  if (!Array.isArray(skus) || skus.some((sku) => typeof sku !== "string")) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "skus: a list of SKUs is expected")
  }
  res.json({ reserved: await reservedOf(database(req.scope), skus) })
}
