const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { deliver } = require("../../../../../lib/document-files")

/**
 * POST /admin/erp/documents/files {wish, content} -> {}: the printed document, in base64, or null where there is none.
 * At most 10 MB; which kinds of files: lib/document-files.js.
 */
module.exports.POST = async (req, res) => {
  const { wish, content } = req.body ?? {}
  if (!/^\d{1,18}$/.test(wish) || (content !== null && typeof content !== "string")) {
    throw new MedusaError(MedusaError.Types.INVALID_DATA, "wish and content (base64 or null) are expected")
  }
  await deliver(database(req.scope), wish, content)
  res.json({})
}
