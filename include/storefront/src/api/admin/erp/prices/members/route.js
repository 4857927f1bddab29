const { batchOf } = require("../../../../../lib/batch")
const { database } = require("../../../../../lib/database")
const { page } = require("../../../../../lib/page")
const { members, putMembers } = require("../../../../../lib/price-lists")

/** GET /admin/erp/prices/members?code[]=A or ?after=CODE&limit=1000 -> {members: [{account, id, fingerprint}]} */
module.exports.GET = async (req, res) => {
  const { code } = req.query
  res.json({ members: await members(database(req.scope), { ...page(req.query), codes: code && [code].flat() }) })
}

/**
 * POST /admin/erp/prices/members {members: [...]} -> {outcomes: [{key, id, reason?}]}
 * As lib/price-schema.js describes them, at most 1,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  res.json({ outcomes: await putMembers(database(req.scope), batchOf(req.body, "members", 1000)) })
}
