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

/**
 * Read the records of a batch.
 * @param {(given: unknown) => object} schemaOf how one of them is to look
 * @param {string[]} names the fields of its key
 * @returns {{records: object[], refused: {key: string, id: null, reason: string}[]}} each record with its key
 */
function readBatch(batch, schemaOf, names) {
  const records = []
  const refused = []
  const seen = new Set()
  for (const given of batch) {
    const key = names.map((name) => String(given?.[name] ?? "")).join("|")
    const answer = schemaOf(given).safeParse(given)
    if (!answer.success) {
      const words = ({ path, message }) => [path.join("."), message].filter(Boolean).join(": ")
      refused.push(refusal(key, answer.error.issues.slice(0, 5).map(words).join("; ")))
    } else if (seen.has(key)) refused.push(refusal(key, "it occurs twice in this batch"))
    else records.push({ key, ...answer.data })
    seen.add(key)
  }
  return { records, refused }
}

const refusal = (key, reason) => ({ key, id: null, reason })

module.exports = { batchOf, readBatch, refusal }
