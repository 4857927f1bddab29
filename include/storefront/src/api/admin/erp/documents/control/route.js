const { z } = require("@medusajs/framework/zod")
const { MedusaError } = require("@medusajs/framework/utils")
const { database } = require("../../../../../lib/database")
const { flowOf } = require("../../../../../lib/document-schema")
const { controlOf } = require("../../../../../lib/documents")

const day = z.iso.date().nullable().default(null)
const Question = z.object({ since: day, until: day, without: z.array(z.string()).max(100000).default([]) })

/**
 * POST /admin/erp/documents/control {flow, since?, until?, without?} -> {accounts: [{account, currency, count, total,
 * open}]}: what they come to, see lib/documents.js.
 */
module.exports.POST = async (req, res) => {
  const asked = Question.safeParse(req.body)
  const expected = "since, until: dates; without: a list of keys"
  if (!asked.success) throw new MedusaError(MedusaError.Types.INVALID_DATA, expected)
  const flow = flowOf(req.body.flow)
  res.json({ accounts: await controlOf(database(req.scope), { flow, ...asked.data }) })
}
