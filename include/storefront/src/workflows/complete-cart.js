const { completeCartWorkflow } = require("@medusajs/medusa/core-flows")
const { mayComplete } = require("../lib/guard")

completeCartWorkflow.hooks.validate(async ({ input }, { container }) => mayComplete(container, input.id))
