const { database } = require("../lib/database")
const { lock, settleRules } = require("../lib/price-lists")

/** Lists for everybody hold in all regions, in a new one too. */
module.exports.default = ({ container }) =>
  database(container).transaction(async (trx) => {
    await lock(trx)
    await settleRules(trx, [])
  })

module.exports.config = { event: ["region.created", "region.deleted"] }
