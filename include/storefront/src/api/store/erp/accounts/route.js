const { accountsOf } = require("../../../../lib/active")

/**
 * GET /store/erp/accounts -> {accounts: [{code, name, status, active, credit_hold, tax_exempt, terms, currency}]}
 * Of the buyer who is logged in.
 */
module.exports.GET = async (req, res) => res.json({ accounts: await accountsOf(req.scope, req.auth_context.actor_id) })
