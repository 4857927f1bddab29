const { database } = require("../../../../lib/database")
const { flowOf } = require("../../../../lib/document-schema")
const { documentKeys } = require("../../../../lib/documents")
const { page } = require("../../../../lib/page")

/**
 * GET /admin/erp/documents?flow=invoices&after=KEY&limit=1000 -> {keys}
 * Ordered by key, byte by byte, those removed too; the next page comes after the last.
 */
module.exports.GET = async (req, res) => {
  res.json({ keys: await documentKeys(database(req.scope), flowOf(req.query.flow), page(req.query)) })
}
