const { database } = require("../../../../lib/database")
const { page } = require("../../../../lib/page")

/**
 * GET /admin/erp/accounts?code[]=A&code[]=B or ?after=CODE&limit=1000 -> {accounts: [{code, id, fingerprint, status}]}
 * Ordered by code, byte by byte; the next page comes after the last code.
 */
module.exports.GET = async (req, res) => {
  const fields = ["code", "group_id as id", "fingerprint", "status"]
  const accounts = database(req.scope)("erp_account").select(fields).orderBy("code")
  const { after, limit } = page(req.query)
  if (req.query.code) accounts.whereIn("code", [req.query.code].flat())
  else accounts.where("code", ">", after).limit(limit)
  res.json({ accounts: await accounts })
}
