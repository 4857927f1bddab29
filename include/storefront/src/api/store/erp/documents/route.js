const { history, questionOf } = require("../../../../lib/history")

/**
 * GET /store/erp/documents?kind=&status=&q=&from=2026-01-01&until=2026-02-01&account=&limit=20&offset=0
 * -> {documents: [{id, number, kind, account, made_on, due_on, currency, net, tax, total, open, overdue, status,
 * reference, has_file}], count, limit, offset}
 * Orders, invoices and credit notes of the ERP, of all accounts of the buyer who is logged in, the newest first.
 * Amounts are text; see lib/history.js.
 */
module.exports.GET = async (req, res) => {
  res.json(await history(req.scope, req.auth_context.actor_id, questionOf(req.query)))
}
