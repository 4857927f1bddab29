const { MedusaError } = require("@medusajs/framework/utils")
const { printOf } = require("../../../../../../lib/document-files")
const { visibleDocument } = require("../../../../../../lib/history")

/**
 * GET /store/erp/documents/:id/file -> the printed document, always to be saved and never to be shown by the browser
 * 202: it is ordered of the ERP, ask again; 404: there is none; 429: too many are ordered.
 */
module.exports.GET = async (req, res) => {
  const document = await visibleDocument(req.scope, req.auth_context.actor_id, req.params.id)
  const { content, kind, ordered, full } = await printOf(req.scope, document)
  res.set({ "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff" })
  if (ordered) return res.status(202).json({ status: "ordered" })
  if (full) {
    const message = "Your account waits for many documents already; ask again in a few minutes"
    return res.status(429).json({ type: "not_allowed", message })
  }
  if (!content) throw new MedusaError(MedusaError.Types.NOT_FOUND, "There is no printed document")
  const name = document.number.replace(/[^A-Za-z0-9._-]+/g, "-")
  res.set({
    "Content-Type": kind.type,
    "Content-Disposition": `attachment; filename="${name}.${kind.name}"`,
    "Content-Security-Policy": "default-src 'none'; sandbox",
  })
  res.send(content)
}
