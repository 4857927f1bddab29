const { batchOf } = require("../../../../../lib/batch")
const { database } = require("../../../../../lib/database")
const { flowOf } = require("../../../../../lib/document-schema")
const { putDocuments } = require("../../../../../lib/documents")

/**
 * POST /admin/erp/documents/batch {flow, documents: [...]} -> {outcomes: [{key, id, outcome?, reason?}]}
 * Documents as lib/document-schema.js describes them, at most 1,000 and 10 MB; one outcome for each, in any order.
 */
module.exports.POST = async (req, res) => {
  const documents = batchOf(req.body, "documents", 1000)
  res.json({ outcomes: await putDocuments(database(req.scope), flowOf(req.body.flow), documents) })
}
