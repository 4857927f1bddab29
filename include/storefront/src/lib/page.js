/** Keyset paging of a query string: what comes after `after`, `limit` of them (1,000; at most 10,000). */
function page({ after, limit }) {
  return { after: String(after ?? ""), limit: Math.min(Math.max(Number(limit) || 1000, 1), 10000) }
}

module.exports = { page }
