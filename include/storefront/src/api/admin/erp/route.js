const { version } = require("../../../../package.json")

/** GET /admin/erp -> {version}: says that the extension is here. */
module.exports.GET = async (_req, res) => res.json({ version })
