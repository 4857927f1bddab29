/** GET /erp/account/script: what the account page does in the browser. */
module.exports.GET = async (_req, res) => {
  res.set({ "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff" })
  res.sendFile(require.resolve("../../../../pages/account"), { headers: { "Content-Type": "text/javascript" } })
}
