const { visibleDocument } = require("../../../../../../lib/history")
const { reorder } = require("../../../../../../lib/reorder")

/**
 * POST /store/erp/documents/:id/reorder {region_id?, cart_id?}
 * -> {cart_id, added: [{sku, quantity}], skipped: [{sku, title, quantity, reason, successor}]}
 * What can be bought of it goes into a cart at today's price for this buyer, see lib/reorder.js.
 */
module.exports.POST = async (req, res) => {
  const { region_id, cart_id } = req.body ?? {}
  const customer = req.auth_context.actor_id
  const document = await visibleDocument(req.scope, customer, req.params.id)
  const channels = req.publishable_key_context?.sales_channel_ids ?? []
  res.json(await reorder(req.scope, customer, document, { region_id, cart_id, channels }))
}
