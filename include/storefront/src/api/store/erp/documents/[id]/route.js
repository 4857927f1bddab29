const { wholeDocument } = require("../../../../../lib/history")

/**
 * GET /store/erp/documents/:id -> {document}: as in the list, and {belongs_to, related: [{id, kind, number}], parcels:
 * [{number, url}], lines: [{sku, title, quantity, unit, price, net, successor, variant}]}, the variant {id, product_id,
 * handle}, or null where it is not sold now.
 */
module.exports.GET = async (req, res) => {
  const channels = req.publishable_key_context?.sales_channel_ids ?? []
  res.json({ document: await wholeDocument(req.scope, req.auth_context.actor_id, req.params.id, channels) })
}
