/** GET /erp/files/:name: what was uploaded, where CROSSDOCK_SHOP_FILES names the folder for it. */
module.exports.GET = async (req, res, next) => {
  const root = process.env.CROSSDOCK_SHOP_FILES
  if (!root) return res.sendStatus(404)
  res.sendFile(req.params.name, { root, immutable: true, maxAge: "1y" }, (error) => {
    if (error && !res.headersSent) res.sendStatus(404)
  })
}
