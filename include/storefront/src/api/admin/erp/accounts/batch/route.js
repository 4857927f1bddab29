const { MedusaError } = require("@medusajs/framework/utils")
const { putAccounts } = require("../../../../../lib/accounts")
const { database } = require("../../../../../lib/database")

/**
 * POST /admin/erp/accounts/batch {accounts: [...]} -> {outcomes: [{code, id, outcome, reason?, notes}]}
 * Accounts as lib/schema.js describes them, at most 1,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  const accounts = req.body?.accounts
  if (!Array.isArray(accounts) || accounts.length > 1000) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "accounts: a list of at most 1,000 is expected")
  }
  res.json({ outcomes: await putAccounts(database(req.scope), accounts) })
}
