const { batchOf } = require("../../../../../lib/batch")
const { database } = require("../../../../../lib/database")
const { flowOf } = require("../../../../../lib/document-schema")
const { documentsOf } = require("../../../../../lib/documents")

/** POST /admin/erp/documents/find {flow, keys} -> {documents: [{key, id, fingerprint, total, removed}]}, those here. */
module.exports.POST = async (req, res) => {
  const keys = batchOf(req.body, "keys", 5000).map(String)
  res.json({ documents: await documentsOf(database(req.scope), flowOf(req.body.flow), keys) })
}
