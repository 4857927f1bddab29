const { MedusaError } = require("@medusajs/framework/utils")

/** The list of this name in a body, of at most `most`. */
function batchOf(body, name, most) {
  const batch = body?.[name]
  if (!Array.isArray(batch) || batch.length > most) {
    const expected = `${name}: a list of at most ${most.toLocaleString("en")} is expected`
    throw new MedusaError(MedusaError.Types.INVALID_DATA, expected)
  }
  return batch
}

module.exports = { batchOf }
