const { database } = require("../../../../../lib/database")
const { wishes } = require("../../../../../lib/document-files")
const { flowOf } = require("../../../../../lib/document-schema")
const { page } = require("../../../../../lib/page")

/**
 * GET /admin/erp/documents/wishes?flow=invoices&after=WISH&limit=1000 -> {wishes: [{id, ref}]}
 * Printed documents that buyers wait for, first come first; `ref` is the document's `file`.
 */
module.exports.GET = async (req, res) => {
  const { after, limit } = page(req.query)
  const asked = { after: Number(after) || 0, limit }
  res.json({ wishes: await wishes(database(req.scope), flowOf(req.query.flow), asked) })
}
