const { balance } = require("../../../../../lib/history")

/** GET /store/erp/documents/balance -> {balance: [{account, currency, open, overdue}]}: what is still to be paid. */
module.exports.GET = async (req, res) => res.json({ balance: await balance(req.scope, req.auth_context.actor_id) })
