const { randomBytes } = require("node:crypto")
const { accountPage } = require("../../../lib/account-page")
const { database } = require("../../../lib/database")

/**
 * GET /erp/account: a page for buyers: their orders, invoices and credit notes, and ordering again.
 * It calls the shop's public interface as any visitor may, with the oldest publishable key.
 */
module.exports.GET = async (req, res) => {
  const key = await database(req.scope)("api_key")
    .where({ type: "publishable", deleted_at: null })
    .whereRaw("(revoked_at is null or revoked_at > now())")
    .orderBy("created_at")
    .first("token")
  const nonce = randomBytes(16).toString("base64")
  const own = `script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'`
  res.set({
    "Content-Security-Policy": `default-src 'none'; ${own}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'`,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
  })
  res.type("html").send(accountPage(nonce, key?.token ?? ""))
}
