const { accountsOf, buyFor } = require("../../../../../lib/active")

/** POST /store/erp/accounts/active {code} -> as GET /store/erp/accounts: from now on he buys for this account of his. */
module.exports.POST = async (req, res) => {
  await buyFor(req.scope, req.auth_context.actor_id, req.body?.code)
  res.json({ accounts: await accountsOf(req.scope, req.auth_context.actor_id) })
}
