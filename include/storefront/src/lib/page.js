/** Keyset paging: `limit` (1,000, at most 10,000) rows of which `column` comes after `after`. */
function page(rows, column, { after, limit }) {
  return rows.where(column, ">", String(after ?? "")).limit(Math.min(Math.max(Number(limit) || 1000, 1), 10000))
}

module.exports = { page }
