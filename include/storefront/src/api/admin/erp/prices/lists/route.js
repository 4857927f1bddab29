const { batchOf } = require("../../../../../lib/batch")
const { database } = require("../../../../../lib/database")
const { page } = require("../../../../../lib/page")
const { lists, putLists } = require("../../../../../lib/price-lists")

/** GET /admin/erp/prices/lists?code[]=A or ?after=CODE&limit=1000 -> {lists: [{code, id, fingerprint}]} */
module.exports.GET = async (req, res) => {
  const { code } = req.query
  res.json({ lists: await lists(database(req.scope), { ...page(req.query), codes: code && [code].flat() }) })
}

/**
 * POST /admin/erp/prices/lists {lists: [...]} -> {outcomes: [{key, id, reason?}]}
 * As lib/price-schema.js describes them, at most 1,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  res.json({ outcomes: await putLists(database(req.scope), batchOf(req.body, "lists", 1000)) })
}
